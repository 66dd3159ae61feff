"""Models as job files and the command line write them: options of a model and of its wrapper in one mapping."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from streamreg.errors import ConfigError, UsageError, nearest
from streamreg.models import registry
from streamreg.models.base import Spec
from streamreg.models.validation import Locate, Path, validated

INNER = "model"
"""The option of a wrapper that is the model inside."""


def build(kind: Any, options: Mapping[Any, Any], where: Locate | None = None, at: Path = ()) -> Spec:
    """Return the model that a kind and options describe.

    Parameters
    ----------
    kind : str
        One of `registry.KINDS`; or one of `registry.WRAPPERS`, whose option "model" is then a mapping with a kind.
    options : mapping
        Those of a wrapper may stand beside those of the model inside: ``{"l1_ratio": 0.5, "choose": "bic"}``.
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
        inside = options.pop(INNER, None)
        if not isinstance(inside, Mapping):
            raise _error(where, (*at, INNER), f"{_name(at)}{INNER} is {inside!r}; it should be a mapping with a kind")
        of = {name: value for name, value in inside.items() if name != "kind"}
        built = build(inside.get("kind"), of, where, (*at, INNER))
        return validated(registry.model(kind), {INNER: built, **options}, where, at)
    if not isinstance(kind, str) or kind not in registry.KINDS:
        raise _error(where, (*at, "kind"), f"no kind of fit {kind!r}{nearest(str(kind), registry.KINDS)}")
    model = registry.model(kind)
    around = model.wrapped(options)
    if around is None:
        if "by" in options and "by" not in model.model_fields:
            text = f"lines by level are of kind linear, and this fit is {kind}; leave out by"
            raise _error(where, (*at, "by"), text)
        return validated(model, options, where, at)
    wrapper = registry.model(around)
    outer = [name for name, _ in _written(wrapper)]
    own = {name: options.pop(name) for name in (*outer, *wrapper.model_fields) if name in options and name != INNER}
    known = [*outer, *(name for name in model.model_fields if name != INNER)]
    for name in options:
        if name not in known:
            text = f"{_name(at, ': ')}no option {name!r}{nearest(str(name), known)}"
            raise _error(where, (*at, name), text)
    return validated(wrapper, {INNER: validated(model, options, where, at), **own}, where, at)


def options_of(kind: str) -> dict[str, tuple[type[Spec], FieldInfo]]:
    """Return the options of a kind, by their names in a job file, with the class that has each and its field.

    Those of the wrapper that may be meant are among them.
    """
    model = registry.model(kind)
    around = model.wrapped(("by",))
    found = {name: (model, field) for name, field in model.model_fields.items()}
    if around is not None:
        wrapper = registry.model(around)
        found |= {name: (wrapper, field) for name, field in _written(wrapper)}
    return found


def _written(wrapper: type[Spec]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the options of a wrapper's own, by their names in a job file."""
    for name, field in wrapper.model_fields.items():
        if name != INNER:
            yield field.alias or name, field


def _name(at: Path, end: str = ".") -> str:
    return f"{'.'.join(map(str, at))}{end}" if at else ""


def _error(where: Locate | None, path: Path, text: str) -> UsageError:
    return UsageError(text) if where is None else ConfigError(f"{where(path)}: {text}")
