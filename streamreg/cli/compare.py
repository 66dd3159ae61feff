"""Commands about several fits: do they agree, and which predicts best."""

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
    exit_code,
)
from streamreg.cli.sources import DataCommand, opened, refuse

Fit = Annotated[Path, typer.Argument(help="A saved fit (.npz), or coefficients (.csv, .json).", show_default=False)]
Target = Annotated[str | None, typer.Option(help="Column to explain. Default: that of the fits.")]


@app.command(cls=DataCommand)
def compare(
    a: Fit,
    b: Fit,
    data: Annotated[Path | None, typer.Option(help="The rows: needed if neither is a fit that was solved.")] = None,
    target: Target = None,
    x: X = None,
    weights: Weights = None,
    tolerance: Annotated[float, typer.Option(help="Standard errors within which fits agree.")] = 0.01,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    rows: Shown = 10,
    json: Json = False,
) -> Output:
    """Tell whether two fits agree, and if not, where and why.

    Coefficients of other programs come as a CSV file with the columns name and coef, or as JSON:
    {"intercept": 1.0, "coef": {"x0": 2.0}}.

    For example:

    \b
      streamreg compare results/million/exact.npz results/million/keras.npz
      streamreg compare million.fit.npz theirs.csv
      streamreg compare mine.json theirs.csv --data million.h5 --target y
    """
    from streamreg.comparison import compare
    from streamreg.comparison.imported import read

    if data is None:
        refuse("there is no --data")
    first, second = read(a, b)
    source = (
        None
        if data is None
        else opened(data, x=x, target=target or first.target or second.target or None, weights=weights)
    )
    found = compare(
        first, second, source, tolerance=tolerance, labels=(a.stem, b.stem), engine=as_engine(engine, scheduler)
    )
    return Output(as_json(found.to_dict()) if json else found.summary(rows), exit_code(found.verdict))


@app.command(cls=DataCommand)
def score(
    file: Annotated[
        Path,
        typer.Argument(help="Rows that no fit has seen: .h5, .zarr, .npy, .parquet, .csv, ...", show_default=False),
    ],
    fits: Annotated[
        list[Path], typer.Argument(help="Saved fits (.npz, .keras) or coefficients; the first is the baseline.")
    ],
    target: Target = None,
    x: X = None,
    weights: Weights = None,
    worth: Annotated[float, typer.Option(help="Points from which on a better model is worth it.")] = 0.1,
    validation: Annotated[
        bool, typer.Option("--validation", help="Score on the rows that the training held out.")
    ] = False,
    threads: Threads = None,
    engine: OnEngine = None,
    scheduler: Scheduler = None,
    json: Json = False,
) -> Output:
    """Score fits on the same rows. One pass tells whether they are better than the first.

    For example:

    \b
      streamreg score fresh.h5 line.npz network.keras
      streamreg score million.h5 line.npz network.keras --validation
    """
    from streamreg.comparison.imported import read
    from streamreg.scoring import score

    networks = {path: _network(path) for path in fits if path.suffix == ".keras"}
    others = [path for path in fits if path not in networks]
    models: dict[Path, Any] = networks | dict(zip(others, read(*others), strict=True))
    stems = [path.stem for path in fits]
    named = {
        stem if stems.count(stem) == 1 else str(path): models[path] for stem, path in zip(stems, fits, strict=True)
    }
    wanted = target or next((m.target for m in named.values() if m.target), None)
    source = opened(file, x=x, target=wanted, weights=weights)
    card = score(
        named,
        source,
        rows="validation" if validation else "all",
        worth=worth,
        target=target,
        threads=threads,
        engine=as_engine(engine, scheduler),
    )
    return Output(as_json(card.to_dict()) if json else str(card))


@app.command()
def anova(
    fits: Annotated[list[Path], typer.Argument(help="Saved fits (.npz): one, or nested ones.", show_default=False)],
    sums: Annotated[
        str, typer.Option(help="Of one fit: sequential (type I), or partial (Wald tests, type III).")
    ] = "sequential",
    nested: Annotated[
        bool, typer.Option("--nested", help="Columns of smaller fits are combinations of those of larger ones.")
    ] = False,
    json: Json = False,
) -> Output:
    """Test what terms, or larger models, add (analysis of variance).

    For example:

    \b
      streamreg anova trips.npz
      streamreg anova trips.npz --sums partial
      streamreg anova small.npz large.npz
    """
    from streamreg.results.base import FitResult
    from streamreg.results.nested import anova as compared

    held: list[Any] = [FitResult.load(path) for path in fits]
    found = held[0].anova(sums) if len(held) == 1 else compared(*held, nested=nested)
    return Output(as_json(found.to_dict()) if json else found.summary(None))


def _network(path: Path) -> Any:
    from streamreg.neural.result import NetworkResult

    return NetworkResult.load(path)
