"""Columns of a chunk as numbers: features side by side, and what says which group a row is in."""

from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError, nearest
from streamreg.kernels import gram
from streamreg.kernels.gram import NAT, finite
from streamreg.kernels.rowhash import mixed
from streamreg.sources.base import Schema
from streamreg.sources.chunk import Chunk, Coded, Column, Texts

Float = NDArray[np.float64]

_EXACT = 2.0**53
_MOST = 2**18

_KINDS = {"T": "text", "M": "dates", "O": "neither numbers, nor text, nor dates"}


def require_numbers(schema: Schema, names: tuple[str, ...], label: str) -> None:
    """Refuse columns that are not numbers.

    Raises
    ------
    DataError
        A column is text, a date, or of a type that cannot be used.
    """
    for name in names:
        if name in schema.refused:
            raise DataError(f"{label}: column {name!r} {schema.refused[name]}")
        if not schema.numeric(name):
            dtype = schema.dtype(name)
            remedy = {"T": ", as a category", "M": ", as in 'y ~ year(t)'"}.get(dtype.kind, "")
            held = _KINDS.get(dtype.kind, f"numbers of type {dtype}")
            raise DataError(
                f"{label}: column {name!r} holds {held}, and a regression needs numbers (float16/32/64, any integer or "
                f"bool); use it in a formula{remedy}, convert it, or leave it out with features"
            )


def beside(chunk: Chunk, names: tuple[str, ...], label: str) -> tuple[NDArray[Any], Float | None]:
    """Return the named columns side by side, and what they lack to the exact values.

    Returns
    -------
    high : ndarray of shape (m, len(names))
        A view of the chunk's matrix wherever the storage order allows it. Columns of several types become float64; what
        is missing in integers is then NaN.
    low : float64 ndarray of the same shape, or None where nothing is lacking
    """
    if names == chunk.names:
        return chunk.matrix, chunk.low
    if len(names) == 1 and names[0] in chunk.vectors:
        return _numbers(chunk.vectors[names[0]])[:, None], None
    if not chunk.vectors or chunk.vectors.keys().isdisjoint(names):
        try:
            where = _positions(chunk.names, names)
        except ValueError:
            pass
        else:
            return chunk.matrix[:, where], None if chunk.low is None else chunk.low[:, where]
    place = {n: k for k, n in enumerate(chunk.names)}
    for absent in names:
        if absent not in chunk.vectors and absent not in place:
            known = (*chunk.names, *chunk.vectors)
            raise DataError(f"{label}, row {chunk.start:,}: column {absent!r} is gone{nearest(absent, known)}")
    columns = [_numbers(chunk.vectors[n]) if n in chunk.vectors else chunk.matrix[:, place[n]] for n in names]
    return _packed(columns)


def numbers(
    chunk: Chunk, features: tuple[str, ...], target: str | None, label: str
) -> tuple[NDArray[Any], NDArray[Any] | None, Float | None, bool]:
    """Return features side by side, the target, what the features lack, and whether all are known to be finite.

    Columns that are stored apart are written once, in rows that end with the target: statistics then read them as they
    are. See `beside`.
    """
    names = features if target is None else (*features, target)
    try:
        columns: list[Any] = [chunk.vectors[name] for name in names] if features else []
    except KeyError:
        columns = []
    packed = gram.rows(columns) if columns else None
    if packed is not None and (target is None or packed[0].dtype == columns[-1].dtype):
        table, fine = packed
        return table[:, : len(features)], None if target is None else table[:, -1], None, fine
    x, low = beside(chunk, features, label)
    y = None if target is None else beside(chunk, (target,), label)[0][:, 0]
    return x, y, low, False


def keys(chunk: Chunk, name: str, label: str) -> NDArray[Any]:
    """Return the column that says which group a row is in, shape (m,): numbers stay, texts and dates become int64.

    Missing texts and dates are the least int64. Where several columns make one group together ("a^b") it is a hash.
    """
    if len(parts := parts_of(name)) > 1:
        return _together([_whole(keys(chunk, part, label), chunk, part, label) for part in parts])
    try:
        values = chunk.column(name)
    except KeyError:
        known = (*chunk.names, *chunk.vectors)
        raise DataError(f"{label}, row {chunk.start:,}: column {name!r} is gone{nearest(name, known)}") from None
    if isinstance(values, Coded):
        return _of_levels(values)[0][values.codes]
    return values.view(np.int64) if values.dtype.kind == "M" else values


def labels(chunk: Chunk, name: str) -> dict[int, str]:
    """Return the names of the groups of a chunk, by their `keys`; of numbers none, as they name themselves.

    Of texts it may be those of neighbouring chunks too: the same object as long as their levels are the same.
    """
    if len(parts := parts_of(name)) > 1:
        return _joined_labels(chunk, parts)
    values = chunk.column(name)
    if isinstance(values, Coded):
        return _of_levels(values)[1]
    if values.dtype.kind != "M":
        return {}
    return {int(value.view(np.int64)): str(value) for value in np.unique(values[~np.isnat(values)])}


def _of_levels(values: Coded) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Return the key of each level, and at the end that of what is missing; and the levels by their keys."""
    levels = values.levels
    found: tuple[NDArray[np.int64], dict[int, str]] | None = levels.kept if isinstance(levels, Texts) else None
    if found is None:
        own = [_KEYS[text] for text in levels]
        found = np.array([*own, NAT], np.int64), dict(zip(own, levels, strict=True))
        if isinstance(levels, Texts):
            levels.kept = found
    return found


def parts_of(name: str) -> tuple[str, ...]:
    """Return the columns that a key is made of: "a^b" is both together."""
    return tuple(part.strip() for part in name.split("^"))


def _whole(values: NDArray[Any], chunk: Chunk, name: str, label: str) -> NDArray[np.int64]:
    """Return a part of a key as integers; NaN is the least int64."""
    if values.dtype.kind == "f":
        absent = np.isnan(values)
        values = np.where(absent, 0.0, values)
        good = (values == np.rint(values)) & (np.abs(values) <= _EXACT)
        if not good.all():
            row = int(np.argmin(good))
            raise DataError(
                f"{label}, row {chunk.number(row):,} (from 0), column {name!r}: {values[row]} does not name a group; "
                "groups are whole numbers that int64 holds, so code the column as such"
            )
        return np.where(absent, NAT, values.astype(np.int64))
    return values.astype(np.int64)


def _together(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return 63 bits of a hash of several keys; the least int64 where one is missing."""
    absent = np.any([part == NAT for part in parts], axis=0)
    z = np.zeros(len(absent), dtype=np.uint64)
    for part in parts:
        z = mixed(z * np.uint64(0x9E3779B97F4A7C15) + part.view(np.uint64))
    return np.where(absent, NAT, (z >> np.uint64(1)).astype(np.int64))


def _joined_labels(chunk: Chunk, parts: tuple[str, ...]) -> dict[int, str]:
    own = [_whole(keys(chunk, part, ""), chunk, part, "") for part in parts]
    named = [labels(chunk, part) for part in parts]
    each, first = np.unique(_together(own), return_index=True)
    return {
        key: "^".join(names.get(int(part[row]), str(int(part[row]))) for part, names in zip(own, named, strict=True))
        for key, row in zip(each.tolist(), first.tolist(), strict=True)
        if key != NAT
    }


class _Keys(dict[str, int]):
    """The keys of texts met so far; `_MOST` of them at most are kept."""

    def __missing__(self, text: str) -> int:
        key = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
        if len(self) >= _MOST:
            self.clear()
        self[text] = key
        return key


_KEYS = _Keys()


def text_key(text: str) -> int:
    """Return the number that stands for a text among groups: 63 bits of its hash, the same everywhere."""
    return _KEYS[text]


def missing_integers(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where int64 holds its least number, which stands for a missing date or integer."""
    return values == NAT if values.dtype == np.int64 else np.zeros(values.shape, bool)


def _numbers(values: Column) -> NDArray[Any]:
    assert not isinstance(values, Coded), "text is refused before rows are read"
    return values


def _packed(columns: list[NDArray[Any]]) -> tuple[NDArray[Any], Float | None]:
    """Return columns side by side, in their own type if they share one, and what float64 lacks of large integers."""
    types = {column.dtype for column in columns}
    if len(types) == 1:
        table = np.empty((len(columns), len(columns[0])), types.pop())
        for k, column in enumerate(columns):
            table[k] = column
        return table.T, None
    table, low = np.empty((len(columns), len(columns[0]))), None
    for k, column in enumerate(columns):
        table[k] = column
        if column.dtype.kind in "iu" and column.dtype.itemsize == 8:
            if not finite(column):
                table[k, missing_integers(column)] = np.nan
            if (np.abs(table[k]) > _EXACT).any():
                low = np.zeros(table.shape) if low is None else low
                low[k] = np.where(np.isnan(table[k]), 0.0, lacking(column, table[k]))
    return table.T, None if low is None else low.T


def lacking(column: NDArray[Any], high: Float) -> Float:
    """Return what float64 numbers lack to the 64-bit integers that they were made of."""
    with np.errstate(invalid="ignore"):  # of what is missing
        back = np.clip(high, float(np.iinfo(column.dtype).min), float(np.iinfo(column.dtype).max - 2048))
        return np.asarray((column - back.astype(column.dtype)).astype(np.int64).astype(np.float64) + (back - high))


@lru_cache(maxsize=64)
def _positions(held: tuple[str, ...], names: tuple[str, ...]) -> slice | list[int]:
    """Return where names are: a slice if they follow one another. Raises ValueError where one is missing."""
    index = [held.index(n) for n in names]
    if index and index == list(range(index[0], index[0] + len(index))):
        return slice(index[0], index[0] + len(index))
    return index
