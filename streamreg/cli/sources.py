"""Options of commands that read rows: which rows of a file, and how it is written; and what opens it by them."""

from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from streamreg.cli.base import RowsCommand
from streamreg.errors import UsageError

_GIVEN: ContextVar[dict[str, Any]] = ContextVar("given")
_WORDS = {"true": True, "false": False, "none": None}


class _WithOptions(TyperCommand):
    """A command with the options below, which `opened` looks at."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of the command, and these before those that all commands have."""
        params = super().get_params(ctx)
        last = [param for param in params if param.name in ("log", "help")]
        return [*(param for param in params if param not in last), *_options(), *last]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options."""
        _GIVEN.set({})
        return super().parse_args(ctx, args)


class LookCommand(_WithOptions):
    """A command that opens a file and reads no rows."""


class DataCommand(_WithOptions, RowsCommand):
    """A command that reads rows."""


def _options() -> list[Any]:
    def command(
        where: Annotated[
            str | None,
            typer.Option(
                callback=_kept,
                expose_value=False,
                metavar="CONDITION",
                help="Use the rows of which this is true: \"year >= 2015 and carrier in ('AA', 'UA')\".",
            ),
        ] = None,
        query: Annotated[
            str | None,
            typer.Option(
                callback=_kept, expose_value=False, metavar="SELECT", help="What to read of a database: duckdb:FILE."
            ),
        ] = None,
        format: Annotated[
            str | None,
            typer.Option(
                callback=_kept,
                expose_value=False,
                help="What the file holds, if its name does not tell: csv, parquet, ...",
            ),
        ] = None,
        option: Annotated[
            list[str] | None,
            typer.Option(
                callback=_kept,
                expose_value=False,
                metavar="KEY=VALUE",
                help="How a CSV file is written: delimiter=;, decimal=, ...; of any file na_values=?,-9; repeatable.",
            ),
        ] = None,
    ) -> None: ...

    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command()(command)
    wanted = ("where", "query", "format", "option")
    return [param for param in typer.main.get_command(single).params if param.name in wanted]


def _kept(param: typer.CallbackParam, value: Any) -> None:
    if value not in (None, [], ()):
        _GIVEN.get()[param.name or ""] = value


def opened(file: Path, **options: Any) -> Any:
    """Open a file by these options and those of the command line."""
    from streamreg import sources
    from streamreg.sources.formats import address

    return sources.open(address(file), **options, **given())


def given() -> dict[str, Any]:
    """Return the options of the command line by the names that `streamreg.open` has for them."""
    found = dict(_GIVEN.get({}))
    if texts := found.pop("option", None):
        found["options"] = dict(_option(text) for text in texts)
        if (marks := found["options"].pop("na_values", None)) is not None:
            found["na_values"] = marks
        found = {name: value for name, value in found.items() if value != {}}
    return found


def refuse(why: str) -> None:
    """Raise `UsageError` if one of the options was given where no file is opened."""
    for name in _GIVEN.get({}):
        raise UsageError(f"--{name} is for the rows of a file, and {why}; leave it out")


def _option(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE; several values are separated by commas, and types of columns written COLUMN:TYPE."""
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--option {text!r}: write KEY=VALUE, as in delimiter=;")
    key = key.strip()
    if key == "na_values":
        return key, value.split(",")
    if key == "dtypes":
        pairs = [part.rpartition(":") for part in value.split(",")]
        if not all(colon for _, colon, _ in pairs):
            raise UsageError(f"--option {text!r}: write dtypes=COLUMN:TYPE,COLUMN:TYPE, as in dtypes=zip:text")
        return key, {name.strip(): kind.strip() for name, _, kind in pairs}
    return key, _WORDS.get(value.lower(), value) if key in ("header", "quote") else value
