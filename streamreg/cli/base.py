"""What all commands share: the application, common options, and how results become text."""

import csv
import json
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand

from streamreg._version import __version__
from streamreg.design.policy import checked
from streamreg.errors import UsageError, nearest
from streamreg.progress import be_quiet, event, start_log

EXIT_CODES = (
    "Exit codes: 0 fine; 1 ran, but not converged, or rows lack, or fits differ, or digits do not tell whether they "
    "do; 2 bad usage or configuration; 3 bad data."
)

RENAMED = {
    "--choose": "--rule",
    "--smallest": "--eps",
    "--stretches": "--blocks",
    "--weights-mean": "--weight-kind",
}
"""Options of earlier versions, and their names of today."""

app = typer.Typer(
    name="streamreg",
    help=f"Out-of-core streaming regression.\n\n{EXIT_CODES}",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(help="A file: .h5, .zarr, .npy, .parquet, .csv, ...", show_default=False)]
Fittable = Annotated[
    Path, typer.Argument(help="A file: .h5, .zarr, .npy, .parquet, .csv, .moments, ...", show_default=False)
]
X = Annotated[str | None, typer.Option("--x", help="Dataset that holds the matrix: group/X.")]
Weights = Annotated[str | None, typer.Option(help="Column or dataset of weights.")]
MissingChunks = Annotated[str, typer.Option(help="Chunks that are not in the storage: error, fill, or fault.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Workers; the result does not depend on it. Default: all processors.")
]
OnEngine = Annotated[str | None, typer.Option("--engine", help="Who works on the rows: threads, serial or dask.")]
Scheduler = Annotated[
    str | None, typer.Option(help="A Dask cluster that works on the rows: tcp://host:8786, or a scheduler's file.")
]
OnDevice = Annotated[
    str | None, typer.Option("--device", help="gpu or gpu:1: where cross-products are taken. Default: the processors.")
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="A folder to keep in how far it came; after a break the same command goes on from there."),
]
OnFault = Annotated[
    str | None,
    typer.Option(help="Rows that cannot be read: fail, or skip (the result says which).", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
Shown = Annotated[int, typer.Option(min=0, help="Coefficients to show.")]


class RowsCommand(TyperCommand):
    """A command that reads rows, which may take long: it has the options --quiet and --log."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of the command, and --quiet and --log before --help."""
        *own, last = super().get_params(ctx)
        return [*own, *_common_options(), last]


def _common_options() -> list[Any]:
    def command(
        quiet: Annotated[
            bool,
            typer.Option(
                "--quiet",
                "-q",
                callback=_quieted,
                expose_value=False,
                help="Print nothing but errors (and --json): the exit code tells.",
            ),
        ] = False,
        log: Annotated[
            str | None,
            typer.Option(
                callback=_logged,
                expose_value=False,
                metavar="json",
                help="Write events to standard error, one JSON object a line: for schedulers.",
            ),
        ] = None,
    ) -> None: ...

    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command()(command)
    return [param for param in typer.main.get_command(single).params if param.name in ("log", "quiet")]


def _quieted(quiet: bool) -> None:
    if quiet:
        be_quiet()


def _logged(context: typer.Context, log: str | None) -> None:
    if log is None:
        return
    if log != "json":
        raise UsageError(f"--log is {log!r}; it can be 'json'")
    if sys.stderr is not None:
        start_log(sys.stderr)
    event("start", command=context.info_name, version=__version__)


def wanted_target(columns: Any, of: Any) -> str:
    """Ask which column to explain, on a terminal.

    Raises
    ------
    UsageError
        There is no terminal; it says which columns there are.
    """
    names = list(columns)
    shown = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()):
        raise UsageError(f"--target is missing; {of} has the columns {shown}: say which of them to explain")
    typer.echo(f"{of} has the columns {shown}", err=True)
    while (answer := typer.prompt("Which one is to be explained", err=True).strip()) not in names:
        typer.echo(f"there is no column {answer!r}{nearest(answer, names)}", err=True)
    return str(answer)


class Output(NamedTuple):
    """What a command prints, and its exit code."""

    text: str
    code: int = 0

    @property
    def asked(self) -> bool:
        """Whether this is what was asked for even where all else is to be quiet: a JSON document."""
        return self.text.startswith("{")


def exit_code(*statuses: str) -> int:
    """Return 1 if a fit or a comparison did not end well."""
    return 0 if all(s.startswith(("ok", "dependent", "agree")) for s in statuses) else 1


def as_json(value: Any) -> str:
    """Return plain values as one JSON document."""
    return json.dumps(value, indent=1, allow_nan=False)


def as_list(text: str | None) -> tuple[str, ...] | None:
    """Read names separated by commas; one that holds a comma stands in double quotes, as in CSV."""
    if text is None:
        return None
    try:
        (parts,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise UsageError(
            f"{text!r} is no list of names; write x1,x7, and a name that holds a comma in quotes: 'x1,\"a, b\"'"
        ) from error
    names = (part if f'"{part}"' in text else part.strip() for part in parts)  # blanks in quotes belong to the name
    return tuple(name for name in names if name)


def as_pairs(options: list[str] | None) -> dict[str, str]:
    """Read NAME=DEGREE pairs."""
    for pair in options or ():
        if "=" not in pair:
            raise UsageError(f"--power {pair!r}: write NAME=DEGREE, as in x1=3")
    return {name.strip(): degree.strip() for name, _, degree in (pair.rpartition("=") for pair in options or ())}


def as_missing(text: str) -> Any:
    """Read what to do with missing values: drop, or age=mean,income=indicator,*=drop."""
    if "=" not in text:
        return text
    pairs = [part.rpartition("=") for part in as_list(text) or ()]
    if wrong := next((word for name, equals, word in pairs if not (name and equals)), None):
        raise UsageError(f"--missing: {wrong!r} has no column; write age=mean,income=indicator,*=drop")
    return checked({name.strip(): word.strip() for name, _, word in pairs})


def as_engine(engine: str | None, scheduler: str | None) -> str | None:
    """Return who works on the rows."""
    if scheduler is not None and engine not in (None, "dask"):
        raise UsageError(f"--scheduler is that of a Dask cluster; leave out --engine {engine}, or --scheduler")
    if engine == "dask" and scheduler is None:
        raise UsageError("--engine dask needs the cluster: --scheduler tcp://host:8786 (dask scheduler starts one)")
    return scheduler or engine


def as_fault(text: str | None) -> Any:
    """Read what is done about rows that cannot be read."""
    if text not in (None, "fail", "skip"):
        raise UsageError(f"--on-fault is {text!r}; it can be 'fail' or 'skip'")
    return text


def as_chunks(missing_chunks: str, on_fault: str | None) -> Any:
    """Return what is done about missing chunks; where rows may lack, they are such."""
    return "fault" if missing_chunks == "error" and on_fault == "skip" else missing_chunks


def as_errors(text: str) -> Any:
    """Read which standard errors are wanted: HC1, cluster:firm, newey_west:5."""
    kind, _, rest = text.partition(":")
    if text in ("classical", "HC0", "HC1", "HC2", "HC3"):
        return text
    if kind == "newey_west" and rest.isdecimal():
        return {kind: int(rest)}
    if kind == "cluster" and rest:
        return {kind: as_list(rest)}
    raise UsageError(f"--errors {text!r}: write classical, HC0, HC1, HC2, HC3, cluster:firm or newey_west:5")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> Output | None:
    return Output(f"streamreg {__version__}") if version else None
