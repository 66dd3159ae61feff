"""The command line: parse and print only. Whatever computes is imported by the command that needs it."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from streamreg import __version__
from streamreg.errors import StreamregError, UsageError

EXIT_CODES = (
    """Exit codes: 0 fine; 1 ran, but not converged or fits differ; 2 bad usage or configuration; 3 bad data."""
)

app = typer.Typer(
    name="streamreg",
    help=f"Out-of-core streaming regression.\n\n{EXIT_CODES}",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(help="A .h5, .zarr or .npy file.", show_default=False)]
Fittable = Annotated[Path, typer.Argument(help="A .h5, .zarr, .npy or .moments file.", show_default=False)]
X = Annotated[str | None, typer.Option("--x", help="Dataset that holds the matrix: group/X.")]
Weights = Annotated[str | None, typer.Option(help="Column or dataset of weights.")]
MissingChunks = Annotated[str, typer.Option(help="Chunks that are not in the storage: error, or fill.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Workers; the result does not depend on it. Default: all processors.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Shown = Annotated[int, typer.Option(min=0, help="Coefficients to show.")]


class Output(NamedTuple):
    """What a command prints, and its exit code."""

    text: str
    code: int = 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Parameters
    ----------
    arguments : list of str, optional
        Default: those of the process.
    """
    from streamreg import cli_compare, cli_scan  # noqa: F401 - their commands come with them

    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        output = app(arguments or ["--help"], prog_name="streamreg", standalone_mode=False)
        if not isinstance(output, Output):  # typer printed help, or turned an interrupt into its exit code
            return _fail("interrupted", 130) if output == 130 else int(output or 0)
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        print(output.text, flush=True)
        return output.code
    except StreamregError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return 141
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 3)
    except Exception as error:
        if hasattr(error, "format_message"):  # what typer raises for a wrong option
            return _fail(f"{error.format_message()} (streamreg --help tells more)", 2)
        raise


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _code(*statuses: str) -> int:
    """Return 1 if a fit or a comparison did not end well."""
    return 0 if all(s.startswith(("ok", "dependent", "agree")) for s in statuses) else 1


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, allow_nan=False)


def _list(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _pairs(options: list[str] | None) -> dict[str, str]:
    for pair in options or ():
        if "=" not in pair:
            raise UsageError(f"--power {pair!r}: write NAME=DEGREE, as in x1=3")
    return {name.strip(): degree.strip() for name, _, degree in (pair.rpartition("=") for pair in options or ())}


def _errors(text: str) -> Any:
    kind, colon, rest = text.partition(":")
    if not colon:
        return text
    return {kind: int(rest) if kind == "newey_west" and rest.isdecimal() else _list(rest)}


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> Output | None:
    return Output(f"streamreg {__version__}") if version else None


@app.command()
def fit(
    file: Fittable,
    target: Annotated[str | None, typer.Option(help="Column or dataset to explain.", show_default=False)] = None,
    x: X = None,
    weights: Weights = None,
    features: Annotated[str | None, typer.Option(help="Columns to use: x1,x7. Default: all others.")] = None,
    power: Annotated[
        list[str] | None, typer.Option(help="NAME=DEGREE: also the powers of a column; repeatable.")
    ] = None,
    ridge: Annotated[float, typer.Option(help="Penalty on the squared coefficients.")] = 0.0,
    intercept: Annotated[bool, typer.Option(help="Whether the line has a constant.")] = True,
    precision: Annotated[str, typer.Option(help="auto, float64 or exact.")] = "auto",
    digits: Annotated[int, typer.Option(help="Digits of every coefficient that precision auto aims for.")] = 10,
    singular: Annotated[str, typer.Option(help="Dependent columns: minimum-norm, drop or error.")] = "minimum-norm",
    missing: Annotated[str, typer.Option(help="Rows that hold NaN: error, or drop.")] = "error",
    missing_chunks: MissingChunks = "error",
    weights_mean: Annotated[str, typer.Option(help="What weights are: analytic, or frequency.")] = "analytic",
    errors: Annotated[
        str, typer.Option(help="classical, HC0 to HC3, cluster:COLUMN, cluster:COLUMN,COLUMN or newey_west:LAGS.")
    ] = "classical",
    save: Annotated[Path | None, typer.Option(help="Save the fit to this .npz file.")] = None,
    rows: Shown = 20,
    threads: Threads = None,
    json: Json = False,
) -> Output:
    """Fit a line by least squares, in one pass over the rows (two if the digits need it).

    For example:

      streamreg fit million.h5 --target y

      streamreg fit flights.zarr --x group/X --target group/delay --features x1,x7

      streamreg fit million.npy --target y --json --save million.fit.npz

      streamreg fit loans.h5 --target rate --features x1,x7 --errors cluster:firm,year

      streamreg fit million.moments --target y --features x1,x7
    """
    from streamreg import sources
    from streamreg.models.linear import Linear
    from streamreg.validation import validated

    options = {
        "features": _list(features),
        "powers": _pairs(power),
        "ridge": ridge,
        "intercept": intercept,
        "precision": precision,
        "digits": digits,
        "singular": singular,
        "missing": missing,
        "weights": weights_mean,
        "errors": _errors(errors),
    }
    data: Any = file
    if file.suffix == ".moments":
        if x is not None or weights is not None:
            raise UsageError(
                f"{file}: holds moments, whose weights were chosen by the scan; leave --x and --weights out"
            )
        options["target"] = target
    elif target is None:
        raise UsageError("--target is missing; say which column or dataset to explain")
    else:
        data = sources.open(file, x=x, target=target, weights=weights, missing_chunks=missing_chunks)  # type: ignore[arg-type]
    result = validated(Linear, options).fit(data, threads=threads)
    if save is not None:
        result.save(save)
    return Output(_json(result.to_dict()) if json else result.summary(rows), _code(result.status))


@app.command()
def inspect(
    file: File,
    x: X = None,
    target: Annotated[str | None, typer.Option(help="Dataset to explain, if it is not a column.")] = None,
    weights: Weights = None,
    missing_chunks: MissingChunks = "error",
    json: Json = False,
) -> Output:
    """Show what is in a file, without reading a row.

    For example:

      streamreg inspect million.h5

      streamreg inspect flights.zarr --x group/X --json
    """
    from streamreg.inspection import inspect

    found = inspect(file, x, target, weights, missing_chunks)
    return Output(_json(found.to_dict()) if json else str(found))


@app.command()
def generate(
    out: Annotated[Path, typer.Argument(help="The suffix tells the format: .h5, .zarr or .npy.", show_default=False)],
    rows: Annotated[int, typer.Option(help="How many rows.", show_default=False)],
    columns: Annotated[int, typer.Option(help="How many features.", show_default=False)],
    kind: Annotated[str, typer.Option(help="Target: linear or logistic.")] = "linear",
    seed: Annotated[int, typer.Option(help="The same seed gives the same numbers in every format.")] = 0,
    noise: Annotated[
        float | None, typer.Option(help="Standard deviation of a linear target's noise. Default: 1.")
    ] = None,
    correlation: Annotated[float, typer.Option(help="Of each column with the next one.")] = 0.0,
    dtype: Annotated[str, typer.Option(help="float64, float32 or float16.")] = "float64",
    chunk_rows: Annotated[
        int | None, typer.Option(help="Rows of a chunk. Default: .h5 none, .zarr about 8 MB.")
    ] = None,
    compression: Annotated[str, typer.Option(help="none; .h5: gzip, lzf; .zarr: zstd, gzip.")] = "none",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    json: Json = False,
) -> Output:
    """Write a file of made-up rows, and the true coefficients beside it in OUT.json.

    For example:

      streamreg generate million.h5 --rows 1000000 --columns 100

      streamreg generate big.zarr --rows 4000000 --columns 50 --correlation 0.9 --compression zstd

      streamreg generate clicks.npy --rows 100000 --columns 20 --kind logistic --dtype float32
    """
    from streamreg.generation import generate

    truth = generate(
        out,
        rows=rows,
        columns=columns,
        kind=kind,  # type: ignore[arg-type]  # checked there
        seed=seed,
        noise=noise,
        correlation=correlation,
        dtype=dtype,  # type: ignore[arg-type]
        chunk_rows=chunk_rows,
        compression=compression,  # type: ignore[arg-type]
        force=force,
    )
    return Output(
        _json(truth) if json else f"{out}: {rows:,} rows x {columns:,} columns and target y; truth in {out}.json"
    )


@app.command()
def run(
    job: Annotated[
        Path, typer.Argument(help="A YAML file; configs/million.yaml explains every key.", show_default=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and read no row.")] = False,
    rows: Shown = 10,
    threads: Threads = None,
    json: Json = False,
) -> Output:
    """Carry out a job: generate data, fit, compare, save, as a YAML file says.

    For example:

      streamreg run configs/million.yaml

      streamreg run configs/million.yaml --dry-run
    """
    from streamreg import jobs

    loaded = jobs.load(job)
    if dry_run:
        plan = jobs.plan(loaded)
        return Output(_json(plan.to_dict()) if json else str(plan))
    result = jobs.run(loaded, threads=threads)
    return Output(_json(result.to_dict()) if json else result.table(rows), _code(*result.statuses))
