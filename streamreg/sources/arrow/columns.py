"""Columns of Arrow as columns of a chunk: what is missing becomes NaN, the least int64, NaT or the code -1."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamreg.errors import DataError
from streamreg.kernels.gram import NAT
from streamreg.sources.base import TEXT
from streamreg.sources.chunk import Coded, Column

_UNUSABLE = np.dtype(object)
_DAYS = {"date32[day]": "D", "date64[ms]": "ms"}


def dtype_of(kind: Any, nullable: bool = False) -> np.dtype[Any]:
    """Return the type that a column of an Arrow type has in a chunk; `object` where it cannot be used.

    `nullable`: whether integers may be missing, which makes int64 of them.
    """
    if pa.types.is_dictionary(kind):
        return dtype_of(kind.value_type, nullable)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return TEXT
    if pa.types.is_boolean(kind):
        return np.dtype(np.int64 if nullable else np.bool_)
    if pa.types.is_integer(kind):
        return np.dtype(np.int64 if nullable else str(kind))
    if pa.types.is_floating(kind):
        return np.dtype({"halffloat": "f2", "float": "f4", "double": "f8"}[str(kind)])
    if pa.types.is_decimal(kind):
        return np.dtype(np.float64)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return np.dtype(f"M8[{_DAYS.get(str(kind)) or kind.unit}]")
    return _UNUSABLE


def common(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any] | None:
    """Return a type that holds the values of both, without rounding any; None if there is none.

    Integers beside floats become float64, which is checked as they are read.
    """
    if a == b:
        return a
    kinds = {a.kind, b.kind}
    if kinds == {"M"}:
        return np.promote_types(a, b)
    if not kinds <= set("fiub"):
        return None
    found = np.promote_types(a, b)
    if "f" in kinds:
        return found if kinds == {"f"} else np.dtype(np.float64)
    return np.dtype(np.int64) if found.kind == "f" or "b" in kinds else found


def column(values: Any, label: str, dtype: np.dtype[Any]) -> Column:
    """Return a column of Arrow as one of a chunk, without a copy where nothing is missing and the type is the same.

    Parameters
    ----------
    values : pyarrow.Array or pyarrow.ChunkedArray
    label : str
        What errors call the column.
    dtype : dtype
        That of the column in the schema, which may be wider than that of these values.

    Raises
    ------
    DataError
        A value does not fit the type.
    """
    if isinstance(values, pa.ChunkedArray):
        parts = [column(part, label, dtype) for part in values.chunks if len(part)]
        if not parts:
            values = pa.array([], values.type)
        elif len(parts) == 1:
            return parts[0]
        else:
            coded = [part for part in parts if isinstance(part, Coded)]
            return Coded.joined(coded) if coded else np.concatenate([p for p in parts if not isinstance(p, Coded)])
    if dtype == TEXT:
        return _coded(values)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if dtype.kind == "M":
        return np.asarray(values.to_numpy(zero_copy_only=False)).astype(dtype, copy=False)
    if dtype.kind == "f":
        return _floats(values, label, dtype)
    return _integers(values, label, dtype)


def _coded(values: Any) -> Coded:
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    codes = values.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    levels = values.dictionary.to_pylist()
    if None in levels:  # a dictionary may hold null itself
        codes = np.where(codes == levels.index(None), np.int32(-1), codes)
        levels = ["" if level is None else level for level in levels]
    if len(set(levels)) < len(levels):
        return Coded.joined([Coded(codes, tuple(levels)), Coded(np.empty(0, np.int32), ())])
    return Coded(codes, tuple(levels))


def _floats(values: Any, label: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    if pa.types.is_integer(values.type):
        ends = pc.min_max(values).as_py()
        if ends["max"] is not None and max(ends["max"], -ends["min"]) > 2**53:
            raise DataError(f"{label}: has integers beyond 2^53, and floats elsewhere; convert the column to one type")
    if pa.types.is_decimal(values.type) or pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8()) if pa.types.is_boolean(values.type) else values
        values = values.cast(pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False)).astype(dtype, copy=False)


def _integers(values: Any, label: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    if pa.types.is_boolean(values.type) and dtype.kind != "b":
        values = values.cast(pa.int8())
    missing = None
    if values.null_count:
        missing = np.asarray(pc.is_null(values).to_numpy(zero_copy_only=False))
        values = pc.fill_null(values, False if pa.types.is_boolean(values.type) else 0)
    found = np.asarray(values.to_numpy(zero_copy_only=False))
    if found.dtype == np.uint64 and dtype == np.int64 and (found >= 2**63).any():
        raise DataError(f"{label}: has missing values, and integers beyond 2^63; convert the column to float64")
    if dtype == np.int64 and found.dtype == np.int64 and missing is None and len(found) and found.min() == NAT:
        raise DataError(f"{label}: holds -2^63, which stands for a missing integer here; convert the column")
    found = found.astype(dtype, copy=False)
    if missing is not None:
        found = found.copy()
        found[missing] = NAT
    return found
