"""Models as job files and the command line write them: options of a model and of its wrapper in one mapping."""

import re
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from streamreg.errors import ConfigError, UsageError, nearest
from streamreg.models import registry
from streamreg.models.base import Model
from streamreg.models.validation import Locate, Path, today, validated

INNER = "model"
"""The option of a wrapper that is the model inside."""


class Option(NamedTuple):
    """An option of a model: its field, and what its docstring says of it."""

    field: FieldInfo
    about: str


def build(kind: Any, options: Mapping[Any, Any], where: Locate | None = None, at: Path = ()) -> Model:
    """Return the model that a kind and options describe.

    Parameters
    ----------
    kind : str
        One of `registry.KINDS`; or one of `registry.WRAPPERS`, whose option "model" is then a mapping with a kind.
    options : mapping
        Those of a wrapper may stand beside those of the model inside: ``{"l1_ratio": 0.5, "rule": "bic"}``.
    where, at
        As for `validated`.

    Raises
    ------
    ConfigError
        There is no such kind or option, or an option is wrong, and `where` is given.
    UsageError
        The same without `where`.
    """
    options = dict(options)
    if isinstance(kind, str) and kind in registry.WRAPPERS:
        return _nested(registry.model(kind), options, where, at)
    model = _class(kind, where, at)
    around = model.wrapped(options)
    if around is None:
        if "by" in options and "by" not in model.model_fields:
            text = f"fits by level are of kinds linear, glm and logistic, and this is {kind}; leave out by"
            raise _error(where, (*at, "by"), text)
        return validated(model, options, where, at)
    wrapper: type[Model] = registry.model(around)
    outer = _outer(wrapper)
    known = [*outer, *(name for name in model.model_fields if name != INNER)]
    options = today(options, known, where, at)
    own = {name: options.pop(name) for name in outer if name in options}
    for name in options:
        if name not in known:
            text = f"{_name(at, ': ')}no option {name!r}{nearest(str(name), known)}"
            raise _error(where, (*at, name), text)
    return validated(wrapper, {INNER: validated(model, options, where, at), **own}, where, at)


def _nested(wrapper: type[Model], options: dict[Any, Any], where: Locate | None, at: Path) -> Model:
    """Return a wrapper whose option "model" is a mapping with a kind."""
    inside = options.pop(INNER, None)
    if not isinstance(inside, Mapping):
        raise _error(where, (*at, INNER), f"{_name(at)}{INNER} is {inside!r}; it should be a mapping with a kind")
    own = {name: value for name, value in inside.items() if name != "kind"}
    model = _class(inside.get("kind"), where, (*at, INNER))
    return validated(wrapper, {INNER: validated(model, own, where, (*at, INNER)), **options}, where, at)


def options_of(kind: str) -> dict[str, Option]:
    """Return the options of a kind, by their names in a job file; those of the wrapper that may be meant among them."""
    model: type[Model] = registry.model(kind)
    around = model.wrapped(("by",))
    about = _described(model)
    found = {name: Option(field, about.get(name, "")) for name, field in model.model_fields.items()}
    if around is not None:
        wrapper = registry.model(around)
        about = _described(wrapper)
        found |= {name: Option(field, about[name]) for name, field in _outer(wrapper).items()}
    return {name: option for name, option in found.items() if name != INNER}


def _described(model: type[Model]) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each option, on one line.

    What they leave to `Linear`, by words that begin with "As", is what that class says.
    """
    from streamreg.models.linear import Linear

    found: dict[str, str] = {}
    for one in (*reversed(Linear.__mro__), *reversed(model.__mro__)):
        if issubclass(one, Model):
            found |= {name: text for name, text in _parameters(one) if text and not text.startswith("As ")}
    return found


def _parameters(model: type[Model]) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of the section "Parameters" of a class's own docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", cleandoc(model.__doc__ or ""), re.M | re.S)
    for part in re.split(r"\n(?=\S)", section[1]) if section else ():
        names, *text = part.splitlines()
        for name in names.partition(" : ")[0].split(","):
            yield name.strip(), " ".join(map(str.strip, text)).strip().replace("``", "")


def _outer(wrapper: type[Model]) -> dict[str, FieldInfo]:
    """Return the options of a wrapper's own."""
    return {name: field for name, field in wrapper.model_fields.items() if name != INNER}


def _class(kind: Any, where: Locate | None, at: Path) -> type[Model]:
    if not isinstance(kind, str) or kind not in registry.KINDS:
        raise _error(where, (*at, "kind"), f"no kind of fit {kind!r}{nearest(str(kind), registry.KINDS)}")
    model: type[Model] = registry.model(kind)
    return model


def _name(at: Path, end: str = ".") -> str:
    return f"{'.'.join(map(str, at))}{end}" if at else ""


def _error(where: Locate | None, path: Path, text: str) -> UsageError:
    return UsageError(text) if where is None else ConfigError(f"{where(path)}: {text}")
