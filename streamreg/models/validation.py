"""What pydantic finds wrong, said as the rest of streamreg says it: what, where, the nearest name."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from streamreg.errors import ConfigError, UsageError, current, nearest

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]
Locate = Callable[[Path], str]
"""Turns the path of a value in a document into its place: ``"job.yaml, line 7"``."""


def validated(model: type[Model], values: Mapping[str, Any], where: Locate | None = None, at: Path = ()) -> Model:
    """Return `values` as a `model`.

    Parameters
    ----------
    model : pydantic model
    values : mapping
    where : callable, optional
        Says where in a document a value stands; None if the values were passed as arguments.
    at : path
        Where in that document `values` stand.

    Raises
    ------
    ConfigError
        Something is wrong, and `where` is given.
    UsageError
        Something is wrong.
    """
    values = today(values, model.model_fields, where, at)
    try:
        found = model.model_validate(values)
        problems = [
            (at + path, f"{'.'.join(map(str, at + path))} is {str(value).lower()}; it should be a number")
            for path, value in _bools_as_numbers(found, values, ())
        ]
        if not problems:
            return found
    except ValidationError as error:
        problems = [(at + _path(e["loc"], values), _complaint(model, e, values, at)) for e in _sorted(error)]
    if where is None:
        raise UsageError(problems[0][1])
    path, complaint = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise ConfigError(f"{where(path)}: {complaint}{more}")


def today(
    values: Mapping[str, Any], names: Iterable[str], where: Locate | None = None, at: Path = ()
) -> dict[str, Any]:
    """Return options under their names of today, as `errors.current` does; `where` and `at` as for `validated`."""
    try:
        return current(values, names)
    except UsageError as error:
        raise (error if where is None else ConfigError(f"{where(at)}: {error}")) from None


def usage_error(model: type[BaseModel], error: ValidationError, values: Mapping[str, Any]) -> UsageError:
    """Return what to raise where `values` were passed as arguments, and are no `model`."""
    return UsageError(_complaint(model, _sorted(error)[0], values, ()))


def _bools_as_numbers(found: BaseModel, values: Mapping[str, Any], at: Path) -> Iterator[tuple[Path, bool]]:
    """Yield what was given as true or false and taken for 1 or 0, and where."""
    for name, value in values.items():
        taken = getattr(found, name, None)
        if isinstance(value, Mapping) and isinstance(taken, BaseModel):
            yield from _bools_as_numbers(taken, value, (*at, name))
        elif isinstance(value, bool) and type(taken) in (int, float):
            yield (*at, name), value


def _sorted(error: ValidationError) -> list[Any]:
    """Return what is wrong; a misspelt name comes first, for it may well be the one that is missing."""
    return sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")


def _path(location: Path, values: Any) -> Path:
    """Return the part of pydantic's location that leads through `values`; names of union members do not."""
    path: list[str | int] = []
    for part in location:
        inside = range(len(values)) if isinstance(values, list | tuple) else values if isinstance(values, dict) else ()
        if part in inside:
            values = values[part]
            path.append(part)
    return tuple(path)


def _complaint(model: type[BaseModel], error: Any, values: Any, at: Path) -> str:
    location = error["loc"]
    if error["type"] == "extra_forbidden":
        inside = ".".join(map(str, at + _path(location[:-1], values)))
        options = _options(model, location[:-1])
        return f"{inside + ': ' if inside else ''}no option {location[-1]!r}{nearest(str(location[-1]), options)}"
    if error["type"] == "missing":
        return f"{'.'.join(map(str, at + location))} is missing; it must be given"
    name = ".".join(map(str, at + _path(location, values)))
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{name}: {message}" if name else message
    return f"{name} is {_shown(error['input'])}; it {_plain(message)}"


def _plain(message: str) -> str:
    """Return pydantic's words without its subject, and as YAML calls things."""
    for word, plain in (("tuple", "list"), ("dictionary", "mapping")):
        message = message.replace(f"a valid {word}", f"a {plain}")
    return re.sub(r"^\w+ (?=should )| after validation|(?<=a mapping) or instance of \w+", "", message)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _options(model: type[BaseModel], location: Path) -> list[str]:
    """Return the options at `location`, which leads through models within `model`."""
    for part in location:
        if part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
