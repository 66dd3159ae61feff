"""Dataclasses as plain values and arrays, and back by the types of their fields.

Arrays are named by where they are: ``geometry.gram``. Of several records one field is one array where it can be:
``fits.coef`` has a row for each of them. Nothing in a file says which class it is: the fields of the reader do.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import fits

Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")

_HELD = object()  # a part that arrays hold alone


def parts(value: Any) -> tuple[dict[str, Any], Arrays]:
    """Return a dataclass as what JSON can hold, and arrays."""
    arrays: Arrays = {}
    return _fields("", value, arrays), arrays


def made(cls: type[T], values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> T:
    """Return the dataclass of which `parts` were made; fields that were not written take their defaults.

    Raises
    ------
    ValueError, TypeError, KeyError
        It is no such dataclass: a file was edited.
    """
    return _record(cls, "", values, arrays)


def _fields(prefix: str, value: Any, arrays: Arrays) -> dict[str, Any]:
    found = {f.name: _put(f"{prefix}{f.name}", getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
    return {name: node for name, node in found.items() if node is not _HELD}


def _put(name: str, item: Any, arrays: Arrays) -> Any:
    if isinstance(item, np.ndarray):
        arrays[name] = item
        return _HELD
    if dataclasses.is_dataclass(item):
        node = _fields(f"{name}.", item, arrays)
        scalars = {key: value for key, value in node.items() if isinstance(value, bool | int | float | str)}
        arrays |= {f"{name}.{key}": np.asarray(value) for key, value in scalars.items()}
        return {key: value for key, value in node.items() if key not in scalars} or _HELD
    if isinstance(item, Mapping) and _records(list(item.values())):
        return {"keys": list(item), "of": _several(f"{name}.", list(item.values()), arrays)}
    if isinstance(item, list | tuple) and _records(item):
        return {"keys": len(item), "of": _several(f"{name}.", item, arrays)}
    return item


def _records(items: Sequence[Any]) -> bool:
    return bool(items) and all(dataclasses.is_dataclass(item) or isinstance(item, np.ndarray) for item in items)


def _several(prefix: str, items: Sequence[Any], arrays: Arrays) -> Any:
    """Return the parts of things of one kind: together, or else one by one."""
    name = prefix[:-1]
    if all(isinstance(item, np.ndarray) for item in items):
        if len({(item.shape, item.dtype.str) for item in items}) == 1:
            arrays[name] = np.stack(items)
            return {}
    elif len({type(item) for item in items}) == 1 and dataclasses.is_dataclass(items[0]):
        names = [f.name for f in dataclasses.fields(items[0])]
        found = {key: _several(f"{prefix}{key}.", [getattr(one, key) for one in items], arrays) for key in names}
        return {key: node for key, node in found.items() if node != {}}
    nodes = [_put(f"{prefix}{k}", item, arrays) for k, item in enumerate(items)]
    return [None if node is _HELD else node for node in nodes]


def _record(cls: type[T], prefix: str, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> T:
    found: dict[str, Any] = {}
    for name, hint in _hints(cls).items():
        at = f"{prefix}{name}"
        if name in values or at in arrays or any(key.startswith(f"{at}.") for key in arrays):
            found[name] = _got(hint, at, values.get(name, _HELD), arrays)
    if unknown := set(values) - set(_hints(cls)):
        raise ValueError(f"{sorted(unknown)[0]} is no field")
    _require_types(cls, found)
    return cls(**found)


def _got(hint: Any, name: str, node: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if node is None:
        # None, or a record among several of which arrays hold all
        return None if not any(key.startswith(f"{name}.") for key in arrays) else _got(hint, name, _HELD, arrays)
    hint = _meant(hint)
    origin, inside = get_origin(hint), get_args(hint)
    if isinstance(node, dict) and node.keys() == {"keys", "of"} and inside:
        keys = node["keys"]
        count = keys if isinstance(keys, int) else len(keys)
        kind = inside[1] if issubclass(origin, Mapping) else inside[0]
        items = _split(kind, f"{name}.", node["of"], arrays, count)
        if isinstance(keys, int):
            return tuple(items)
        key = inside[0]
        return {key(one) if key in (int, str) else one: item for one, item in zip(keys, items, strict=True)}
    if name in arrays:
        array = arrays[name]
        return array if array.ndim or get_origin(hint) is np.ndarray else array.item()
    if dataclasses.is_dataclass(hint):
        inner = {} if node is _HELD else node
        return _record(cast("type[Any]", hint), f"{name}.", inner, arrays)
    if node is _HELD or (node and any(map(dataclasses.is_dataclass, inside))):
        raise ValueError(f"{name} is not whole")
    return _plain(hint, node)


def _split(hint: Any, prefix: str, node: Any, arrays: Mapping[str, NDArray[Any]], count: int) -> list[Any]:
    """Return several things of one kind, which `_several` took apart."""
    hint, name = _meant(hint), prefix[:-1]
    if name in arrays:
        items = list(arrays[name])
    elif isinstance(node, list):
        items = [_got(hint, f"{prefix}{k}", one, arrays) for k, one in enumerate(node)]
    else:
        each = {}
        for key, inner in _hints(hint).items():
            at = f"{prefix}{key}"
            if key in node or at in arrays or any(other.startswith(f"{at}.") for other in arrays):
                each[key] = _split(inner, f"{at}.", node.get(key, {}), arrays, count)
        found = [dict(zip(each, one, strict=True)) for one in zip(*each.values(), strict=True)]
        for one in found:
            _require_types(hint, one)
        items = [hint(**one) for one in found]
    if len(items) != count:
        raise ValueError(f"{name} has {len(items)} parts, not {count}")
    return items


def _plain(hint: Any, node: Any) -> Any:
    """Return what JSON held, with tuples where they belong."""
    if not isinstance(node, list):
        return node
    inside = get_args(_meant(hint)) if get_origin(_meant(hint)) is tuple else (Any, ...)
    each = inside[:1] * len(node) if inside[-1] is ... else inside
    items = tuple(_plain(one, item) for one, item in zip(each, node, strict=True))
    if not all(fits(item, one) for item, one in zip(items, each, strict=True)):
        raise ValueError(f"{node!r:.60} has a part of another type")
    return items


def _meant(hint: Any) -> Any:
    """Return the type of a part that may be None, where it is there."""
    if get_origin(hint) in (Union, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        return kinds[0] if len(kinds) == 1 else Any
    return hint


def _hints(cls: Any) -> dict[str, Any]:
    """Return the types of the fields of a dataclass, by name."""
    known = get_type_hints(cls)
    return {f.name: known[f.name] for f in dataclasses.fields(cls)}


def _require_types(cls: type, found: Mapping[str, Any]) -> None:
    """Make sure that what is read is of the types that the fields of a dataclass have."""
    for name, hint in _hints(cls).items():
        if name not in found:
            continue
        value = found[name]
        if value is None:
            sound = hint is Any or NoneType in get_args(hint)
        elif get_origin(hint) is np.ndarray:
            (inside,) = get_args(get_args(hint)[1])
            kind = "O" if inside is Any else np.dtype(inside).kind
            sound = isinstance(value, np.ndarray) and (kind == "O" or value.dtype.kind == kind)
        else:
            sound = fits(value, hint) and (get_origin(_meant(hint)) is not tuple or isinstance(value, tuple))
        if not sound:
            raise ValueError(f"{name} is of type {getattr(value, 'dtype', type(value).__name__)}")
