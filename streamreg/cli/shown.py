"""Commands that show saved fits in other ways."""

from pathlib import Path
from typing import Annotated

import typer

from streamreg.cli.base import Force, Output, app, as_list
from streamreg.errors import UsageError


@app.command()
def table(
    fits: Annotated[list[Path], typer.Argument(help="Saved fits (.npz).", show_default=False)],
    format: Annotated[str, typer.Option(help="text, md, html, tex or typst.")] = "text",
    keep: Annotated[str | None, typer.Option(help="Terms to show: x1,x7. Default: all.")] = None,
    stars: Annotated[bool, typer.Option("--stars", help="Mark small p-values.")] = False,
    digits: Annotated[
        int | None, typer.Option(min=0, max=15, help="Decimals. Default: as standard errors support.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it to this file. Default: print it.")] = None,
    force: Force = False,
) -> Output:
    """Show saved fits beside each other, as papers do.

    For example:

    \b
      streamreg table short.npz long.npz
      streamreg table short.npz long.npz --format tex --stars -o table.tex
    """
    from streamreg.persist.atomic import whole
    from streamreg.persist.table_writer import require_replaceable
    from streamreg.reporting.markup import FORMATS
    from streamreg.results.base import FitResult
    from streamreg.results.side_by_side import table as shown

    if format not in FORMATS:
        raise UsageError(f"--format is {format!r}; it can be {', '.join(FORMATS)}")
    if out is not None:
        require_replaceable(out, force)
    held = [FitResult.load(path) for path in fits]
    stems = [path.stem for path in fits]
    named = dict(zip(stems, held, strict=True)) if len(set(stems)) == len(stems) else held
    text = shown(named, format, keep=as_list(keep), stars=stars, digits=digits)  # type: ignore[arg-type]  # checked
    if out is None:
        return Output(str(text))
    with whole(out) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")
    return Output(f"{out}: {len(held)} fit{'' if len(held) == 1 else 's'} beside each other")


@app.command()
def code(
    fit: Annotated[Path, typer.Argument(help="A saved fit (.npz).", show_default=False)],
    language: Annotated[
        str, typer.Argument(help="r, stata, statsmodels, fixest, pyfixest or sklearn.", show_default=False)
    ],
) -> Output:
    """Print the call of another program for a fit.

    It should give the same numbers.

    For example:

    \b
      streamreg code trips.fit.npz r
      streamreg code trips.fit.npz pyfixest > check.py
    """
    from streamreg.results.base import FitResult

    return Output(FitResult.load(fit).code(language))  # type: ignore[arg-type]  # checked there
