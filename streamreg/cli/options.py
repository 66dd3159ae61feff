"""Options of the command line that are those of a model: from its fields, with the words of its docstring."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer

from streamreg.cli.base import as_errors, as_list, as_missing, as_pairs
from streamreg.cli.sources import DataCommand
from streamreg.errors import UsageError, nearest
from streamreg.models.registry import KINDS

if TYPE_CHECKING:
    from streamreg.models.flat import Option

_KEY, _OWN = "streamreg.options", "model_"
_FLAGS = {"powers": "power"}
"""Flags that are not called as the option is: they are given once for each column."""
_ELSEWHERE = ("target",)  # it is asked of the data
_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "missing": (as_missing, "[error|drop|mean|indicator|COLUMN=mean,...,*=drop]"),
    "errors": (as_errors, "[classical|HC0|HC1|HC2|HC3|cluster:COLUMN,COLUMN|newey_west:LAGS]"),
}
"""Options that are written in a way of their own: how they are read, and how they are written."""


class ModelCommand(DataCommand):
    """A command with the options of the model that its option --kind names.

    After parsing they are in ``context.meta``; see `chosen`.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of the command, and those of the model."""
        *own, log, last = super().get_params(ctx)  # the last is --help
        return [*own, log, *_state(ctx)["params"], last]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Find out which model is meant, and read the options."""
        state = _state(ctx, _kind(args))
        rest = super().parse_args(ctx, args)
        given = {name: ctx.params.pop(_OWN + name, None) for name in state["fields"]}
        state["given"] = {
            name: _value(name, state["fields"][name].field.annotation, value)
            for name, value in given.items()
            if value not in (None, [], ())
        }
        return rest


def chosen(context: typer.Context) -> dict[str, Any]:
    """Return the options of the model that were given, by their names in a job file."""
    given: dict[str, Any] = context.meta[_KEY]["given"]
    return dict(given)


def _kind(args: list[str]) -> str:
    for arg, following in zip(args, [*args[1:], ""], strict=False):
        name, equals, value = arg.partition("=")
        if name == "--kind":
            return value if equals else following
    return next(iter(KINDS))


def _state(ctx: Any, kind: str | None = None) -> dict[str, Any]:
    """Return the fields of the model that is meant, and their options, kept with the context."""
    if _KEY not in ctx.meta:
        from streamreg.models.flat import options_of

        kind = kind or next(iter(KINDS))
        if kind not in KINDS:
            raise UsageError(f"--kind: no kind of fit {kind!r}{nearest(kind, KINDS)}")
        fields = {name: option for name, option in options_of(kind).items() if name not in _ELSEWHERE}
        ctx.meta[_KEY] = {"fields": fields, "params": _params(fields), "given": {}}
    state: dict[str, Any] = ctx.meta[_KEY]
    return state


def _params(fields: Mapping[str, "Option"]) -> list[Any]:
    """Return options for typer: those of a command whose signature is made from the fields."""

    def command() -> None: ...

    parameters = [
        inspect.Parameter(
            _OWN + name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name, *option)
        )
        for name, option in fields.items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer looks at
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(command)
    return [param for param in typer.main.get_command(app).params if (param.name or "").startswith(_OWN)]


def _annotation(name: str, field: Any, about: str) -> Any:
    flag = _flag(name)
    parts = list(_parts(field.annotation))
    about = re.sub(r"`(\w+)`", lambda match: "--" + _flag(match[1]), about)  # other options, as they are spelt here
    default = field.get_default(call_default_factory=True)
    if bool in parts:
        text = f"{about}  [default: {flag if default else f'no-{flag}'}]"
        return Annotated[bool | None, typer.Option(f"--{flag}/--no-{flag}", help=text)]
    text = f"{about}  [default: {default}]" if isinstance(default, str | int | float) else about
    kind: Any = parts[0] if len(parts) == 1 and parts[0] in (int, float) else str
    if name not in _READERS and any(get_origin(part) is dict or _is_nested(part) for part in parts):
        kind = list[str]
    return Annotated[kind | None, typer.Option(f"--{flag}", help=text.strip(), metavar=_metavar(name, parts))]


def _flag(name: str) -> str:
    return _FLAGS.get(name, name).replace("_", "-")


def _metavar(name: str, parts: list[Any]) -> str | None:
    """Return how a value is written, if that is not plain."""
    if name in _READERS:
        return _READERS[name][1]
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    if words and all(get_origin(part) is Literal for part in parts):
        return f"[{'|'.join(map(str, words))}]"
    if any(get_origin(part) is dict for part in parts):
        return "NAME=NUMBER"
    return "A,B,..." if any(get_origin(part) is tuple for part in parts) else None


def _value(name: str, annotation: Any, given: Any) -> Any:
    """Return what was written as the model takes it; pydantic makes numbers of texts."""
    if name in _READERS:
        return _READERS[name][0](given)
    parts = list(_parts(annotation))
    if any(get_origin(part) is dict for part in parts):
        return as_pairs(given)
    if isinstance(given, list):
        return tuple(as_list(text) for text in given)
    if any(get_origin(part) is tuple for part in parts):
        return int(given) if int in parts and given.isdecimal() else as_list(given)
    return given


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, without None and what is annotated."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _parts(part)
    elif annotation is not NoneType:
        yield annotation


def _is_nested(part: Any) -> bool:
    return get_origin(part) is tuple and get_origin(get_args(part)[0]) is tuple
