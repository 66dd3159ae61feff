"""Columns of Arrow as columns of a chunk: what is missing becomes NaN, the least int64, NaT or the code -1."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamreg.errors import DataError
from streamreg.kernels.gram import NAT
from streamreg.sources.base import TEXT
from streamreg.sources.chunk import Coded, Column, Texts

_UNUSABLE = np.dtype(object)
_NAMES = {"halffloat": "f2", "float": "f4", "double": "f8"}
_DAYS = {"date32[day]": "D", "date64[ms]": "ms"}
_SAME = {pa.float32().id: np.dtype(np.float32), pa.float64().id: np.dtype(np.float64)}
_PLAIN = {"b": pa.bool_()}
_WHOLE = 2**53


def dtype_of(kind: Any, nullable: bool = False) -> np.dtype[Any]:
    """Return the type that a column of an Arrow type has in a chunk; `object` where it cannot be used.

    `nullable`: whether integers may be missing, which makes int64 of them.
    """
    if pa.types.is_dictionary(kind):
        return dtype_of(kind.value_type, nullable)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return TEXT
    if pa.types.is_null(kind):
        return np.dtype(np.float64)
    if pa.types.is_boolean(kind):
        return np.dtype(np.int64 if nullable else np.bool_)
    if pa.types.is_integer(kind):
        return np.dtype(np.int64 if nullable else str(kind))
    if pa.types.is_floating(kind):
        return np.dtype(_NAMES[str(kind)])
    if pa.types.is_decimal(kind):
        return np.dtype(np.float64)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return np.dtype(f"M8[{_DAYS.get(str(kind)) or kind.unit}]")
    return _UNUSABLE


class Levels:
    """The texts of a dictionary that may grow from one batch to the next: only what is new is turned into texts."""

    def __init__(self) -> None:
        self._last: Any = None
        self._levels = Texts()

    def of(self, dictionary: Any) -> Texts:
        """Return the values of an array of texts, of which none is missing."""
        held = 0 if self._last is None else len(self._last)
        if not (held and len(dictionary) >= held and dictionary.slice(0, held).equals(self._last)):
            held, self._levels = 0, Texts()
        if len(dictionary) > held:
            self._levels = Texts((*self._levels, *dictionary.slice(held).to_pylist()))
        self._last = dictionary
        return self._levels


def column(values: Any, label: str, dtype: np.dtype[Any], levels: Levels | None = None) -> Column:
    """Return a column of Arrow as one of a chunk, without a copy where nothing is missing and the type is the same.

    Parameters
    ----------
    values : pyarrow.Array or pyarrow.ChunkedArray
    label : str
        What errors call the column.
    dtype : dtype
        That of the column in the schema, which may be wider than that of these values.
    levels : Levels, optional
        What is known of the dictionaries of the batches before.

    Raises
    ------
    DataError
        A value does not fit the type.
    """
    if isinstance(values, pa.ChunkedArray):
        parts = [column(part, label, dtype, levels) for part in values.chunks if len(part)]
        if not parts:
            values = pa.array([], values.type)
        elif len(parts) == 1:
            return parts[0]
        else:
            coded = [part for part in parts if isinstance(part, Coded)]
            return Coded.joined(coded) if coded else np.concatenate([p for p in parts if not isinstance(p, Coded)])
    kind = values.type.id
    if kind in _SAME and _SAME[kind] == dtype and len(values) and not values.null_count:  # by far the most are such
        return np.frombuffer(values.buffers()[1], dtype, len(values), values.offset * dtype.itemsize)
    try:
        if dtype == TEXT:
            return _coded(values, levels or Levels())
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_null(values.type):
            values = pa.nulls(len(values), _PLAIN.get(dtype.kind) or pa.from_numpy_dtype(dtype))
        if dtype.kind == "M":
            return _dates(values, label, dtype)
        return _floats(values, label, dtype) if dtype.kind == "f" else _integers(values, label, dtype)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{label}: cannot be read as {dtype} ({error})") from error


def _coded(values: Any, known: Levels) -> Coded:
    if pa.types.is_null(values.type):
        return Coded(np.full(len(values), -1, np.int32), ())
    if not pa.types.is_dictionary(values.type):
        if pa.types.is_string_view(values.type):
            values = values.cast(pa.large_string())
        values = values.dictionary_encode()
    codes = values.indices
    found: NDArray[Any] = _plain(codes).astype(np.int32, copy=False)
    if codes.null_count:
        found = np.where(_missing(codes), -1, found).astype(np.int32)
    texts = values.dictionary
    if len(texts) > len(found):  # most of them belong to other rows
        used, found = np.unique(found, return_inverse=True)
        missing = int(len(used) > 0 and used[0] < 0)
        texts, found = texts.take(pa.array(used[missing:])), (found - missing).astype(np.int32)
        known = Levels()
    if texts.null_count:  # a dictionary may hold null itself
        place = np.cumsum(valid := ~_missing(texts)) - 1
        found = np.where(found >= 0, np.where(valid, place, -1).astype(np.int32)[found], found)
        texts = texts.drop_null()
    levels = known.of(texts)
    if len(set(levels)) < len(levels):
        return Coded.joined([Coded(found, levels), Coded(np.empty(0, np.int32), ())])
    return Coded(found, levels)


def _dates(values: Any, label: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    unit = _DAYS.get(str(values.type)) or values.type.unit
    found = (
        _plain(values.view(pa.int32() if unit == "D" else pa.int64())).astype(np.int64, copy=False).view(f"M8[{unit}]")
    )
    if values.null_count:
        found = np.where(_missing(values), np.datetime64("NaT"), found)
    out = found.astype(dtype, copy=False)
    if out.dtype != found.dtype and not np.array_equal(out.astype(found.dtype), found, equal_nan=True):
        raise DataError(f"{label}: holds dates that {dtype} of the other files cannot hold; write all in one unit")
    return out


def _floats(values: Any, label: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    if pa.types.is_integer(values.type):
        ends = pc.min_max(values).as_py()
        if ends["max"] is not None and max(ends["max"], -ends["min"]) > _WHOLE:
            raise DataError(
                f"{label}: holds integers beyond 2^53 here and other numbers elsewhere, which takes float64, which "
                "rounds them; subtract an offset first"
            )
        values = values.cast(pa.float64())
    if pa.types.is_decimal(values.type):
        values = _decimals(values)
    found = _plain(values).astype(dtype, copy=False)
    return np.where(_missing(values), dtype.type(np.nan), found) if values.null_count else found


def _decimals(values: Any) -> Any:
    """Return decimals as the nearest float64; Arrow's own conversion may be off by one."""
    kind, words = values.type, values.buffers()[1]
    if pa.types.is_decimal128(kind) and kind.precision <= 18 and 0 <= kind.scale <= 22 and words is not None:
        halves = np.frombuffer(words, "<i8", 2 * len(values), 16 * values.offset)
        whole = halves[::2]  # half of 128 bits holds so many digits
        missing = _missing(values)
        if np.abs(np.where(missing, 0, whole)).max(initial=0) <= _WHOLE:
            return pa.array(whole / 10.0**kind.scale, mask=missing)  # both are exact, so the quotient is the nearest
    return values.cast(pa.string()).cast(pa.float64())


def _integers(values: Any, label: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    if pa.types.is_boolean(values.type) and dtype.kind != "b":
        values = values.cast(pa.int8())
    missing = _missing(values) if values.null_count else None
    found = _plain(values)
    if missing is not None and dtype != np.int64:
        raise DataError(f"{label}: has missing values, and what is said of the column denies it; write the data again")
    if found.dtype == np.uint64 and dtype == np.int64 and (found[... if missing is None else ~missing] >= 2**63).any():
        raise DataError(f"{label}: may have missing values, and has integers beyond 2^63; convert it to float64")
    least = found if missing is None or found.dtype != np.int64 else found[~missing]
    if found.dtype == np.int64 and least.min(initial=0) == NAT:
        raise DataError(f"{label}: holds -2^63, which stands for a missing integer here; convert the column")
    if missing is None:
        return found.astype(dtype, copy=False)
    found = found.astype(np.int64)
    found[missing] = NAT
    return found


def _missing(values: Any) -> NDArray[np.bool_]:
    """Return where values are null."""
    return _plain(pc.is_null(values))


def _plain(values: Any) -> NDArray[Any]:
    """Return numbers as they lie in memory, those that are null too; Arrow's own way imports pandas if it is there."""
    if pa.types.is_boolean(values.type):
        return _plain(values.cast(pa.uint8())).view(np.bool_)
    dtype = np.dtype(_NAMES.get(str(values.type), str(values.type)))
    content = values.buffers()[1]
    if not len(values) or content is None:
        return np.zeros(len(values), dtype)
    return np.frombuffer(content, dtype, len(values), values.offset * dtype.itemsize)
