"""The command about marginal effects."""

from pathlib import Path
from typing import Annotated, Any

import typer

from streamreg.cli.base import (
    Json,
    OnEngine,
    Output,
    Scheduler,
    Shown,
    Threads,
    Weights,
    X,
    app,
    as_engine,
    as_json,
    as_list,
    exit_code,
)
from streamreg.cli.sources import DataCommand, opened
from streamreg.errors import UsageError


@app.command(cls=DataCommand)
def effects(
    fit: Annotated[Path, typer.Argument(help="A saved fit (.npz).", show_default=False)],
    file: Annotated[
        Path,
        typer.Argument(help="The rows to average over: .h5, .zarr, .npy, .parquet, .csv, ...", show_default=False),
    ],
    variables: Annotated[
        str | None, typer.Option(help="Columns, with commas between. Default: all that terms are made of.")
    ] = None,
    kind: Annotated[
        str, typer.Option(help="Slopes (dydx), or elasticities: eyex, eydx (of the mean), dyex (by the column).")
    ] = "dydx",
    contrast: Annotated[
        list[str] | None,
        typer.Option(help="A change from one value to another: treated=0,1. May be given several times."),
    ] = None,
    at: Annotated[
        str, typer.Option(help="average (of the rows' effects), mean (of the columns), or values: age=40,town=Bern.")
    ] = "average",
    by: Annotated[str | None, typer.Option(help="Columns whose levels have averages of their own.")] = None,
    missing: Annotated[
        str | None, typer.Option(help="Rows with a missing value: error, or drop. Default: as in the fit.")
    ] = None,
    level: Annotated[float, typer.Option(help="Of the confidence intervals.")] = 0.95,
    x: X = None,
    weights: Weights = None,
    rows: Shown = 20,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    json: Json = False,
) -> Output:
    """Average how the mean changes with each column.

    Terms of a formula are followed: of log(fare) and fare:zone the effect is that of fare. The effect of a category is
    the difference of the means at a level and at the reference.

    For example:

    \b
      streamreg effects clicks.npz clicks.parquet
      streamreg effects clicks.npz clicks.parquet --variables age,region --by sex
      streamreg effects clicks.npz clicks.parquet --contrast treated=0,1 --at age=40
    """
    from streamreg.models.effects import effects as averaged
    from streamreg.results.base import FitResult

    asked: dict[str, Any] = {"kind": kind, "level": level, "missing": missing, "by": as_list(by) or ()}
    pairs = dict(_named("contrast", text, "treated=0,1") for text in contrast or ())
    asked["contrasts"] = {name: _pair(name, text) for name, text in pairs.items()}
    values = (_named("at", text, "age=40,town=Bern") for text in at.split(","))
    asked["at"] = {name: _value(text) for name, text in values} if "=" in at else at
    workers: dict[str, Any] = {"threads": threads, "engine": as_engine(engine, scheduler)}
    source = opened(file, x=x, weights=weights)
    wanted = as_list(variables) or (tuple(pairs) if pairs else None)
    found = averaged(FitResult.load(fit), source, wanted, **asked, **workers)
    return Output(as_json(found.to_dict()) if json else found.summary(rows), exit_code(found.status))


def _named(option: str, text: str, example: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise UsageError(f"--{option} {text!r}: write NAME=VALUE, as in {example}")
    return name, value


def _pair(name: str, text: str) -> tuple[Any, Any]:
    values = [_value(part) for part in text.split(",")]
    if len(values) != 2:
        raise UsageError(f"--contrast {name}={text}: name two values, the reference first, as in {name}=0,1")
    return values[0], values[1]


def _value(text: str) -> Any:
    """Return a number, if it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()
