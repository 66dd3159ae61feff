"""What stored numbers mean: attributes that pack values or mark missing ones, read alike from HDF5 and Zarr.

The conventions are those of CF (section 2.5.1 and 8.1, with netCDF's ``_Unsigned``), rhdf5, anndata and MATLAB.
"""

import base64
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError
from streamreg.sources.checks import native
from streamreg.sources.stored.table import Read, Stored

NAMES = (
    *("_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned", "valid_min", "valid_max"),
    *("valid_range", "rhdf5-NA.OK", "MATLAB_class"),
)
"""Attributes that change what numbers mean."""

_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Coding:
    """How stored numbers become values: ``stored * scale + offset``, missing where they equal one of `missing`.

    Attributes
    ----------
    missing : tuple of scalars
        Of the stored type.
    valid : tuple of two floats
        Stored numbers outside of it are missing.
    view : dtype or None
        Type to take the stored bits for (``_Unsigned``).
    scale, offset : float or None
        None where there is no such attribute.
    """

    missing: tuple[Any, ...] = ()
    valid: tuple[Any, Any] | None = None
    view: np.dtype[Any] | None = None
    scale: float | None = None
    offset: float | None = None

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """Return the type of the values; int64 keeps its numbers beyond 2^53, and marks missing ones by its least."""
        kind = self.view or stored
        if self.scale is None and self.offset is None and (kind.kind == "f" or kind == np.int64):
            return kind
        return np.dtype(np.float64)

    def values(self, stored: NDArray[Any], label: str, start: int) -> NDArray[Any]:
        """Return the values of stored numbers, whose first row is `start`; a new array."""
        kind = self.dtype(stored.dtype)
        gone = np.zeros(stored.shape, bool)
        for value in self.missing:
            gone |= stored == value
        numbers = stored if self.view is None else np.ascontiguousarray(stored).view(self.view)
        if self.valid is not None:
            gone |= (numbers < self.valid[0]) | (numbers > self.valid[1])
        if kind.kind == "f" and numbers.dtype.kind in "iu" and numbers.dtype.itemsize == 8:
            large = ~gone & ((numbers > _EXACT) | (numbers < -_EXACT if numbers.dtype.kind == "i" else False))
            if large.any():
                row = start + int(np.argmax(large.reshape(len(large), -1).any(axis=1)))
                raise DataError(f"{label}, row {row:,} (from 0): is packed and beyond 2^53; store float64 values")
        out = numbers.astype(kind)
        if self.scale is not None:
            out *= self.scale
        if self.offset is not None:
            out += self.offset
        out[gone] = np.nan if kind.kind == "f" else np.iinfo(np.int64).min
        return out


@dataclass(slots=True)
class Decoded(Stored):
    """An array whose stored numbers are decoded as they are read."""

    inner: Stored
    coding: Coding
    label: str = field(init=False)
    shape: tuple[int, ...] = field(init=False)
    dtype: np.dtype[Any] = field(init=False)
    chunk_rows: int = field(init=False)
    piece_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.label, self.shape, self.chunk_rows = self.inner.label, self.inner.shape, self.inner.chunk_rows
        self.dtype = self.coding.dtype(self.inner.dtype)
        self.piece_bytes = self.inner.piece_bytes

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Return what reads and decodes rows."""
        with self.inner.reader() as read:
            yield lambda a, b: self.coding.values(read(a, b), self.label, a)

    def fingerprint(self) -> str:
        """Return the fingerprint of the stored numbers and of what they mean."""
        return f"{self.inner.fingerprint()} {self.coding}"

    def part(self, start: int, stop: int) -> "Decoded":
        """Return what is needed to read rows `start` to `stop` alone."""
        return Decoded(self.inner.part(start, stop), self.coding)


def decoded(stored: Stored, attributes: Mapping[str, Any], fill: Any = None, parent: Any = "") -> Stored:
    """Return an array whose numbers are what its attributes say, or `stored` itself where they say nothing.

    Parameters
    ----------
    stored : Stored
    attributes : mapping
        Attributes of the array.
    fill : scalar, optional
        What rows hold that were never written, where it stands for a missing value.
    parent : str
        ``encoding-type`` of the group around the array.

    Raises
    ------
    DataError
        An attribute cannot be honoured; names it.
    """
    coding = _coding(stored, attributes, fill, parent)
    return stored if coding == Coding() else Decoded(stored, coding)


def told(attributes: Mapping[str, Any]) -> str:
    """Return the attributes that change what numbers mean, for people."""
    return ", ".join(f"{n} = {_plain(attributes[n])}" for n in NAMES if n in attributes)


def _plain(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _coding(stored: Stored, attributes: Mapping[str, Any], fill: Any, parent: Any) -> Coding:
    label, dtype = stored.label, stored.dtype
    if "MATLAB_class" in attributes and len(stored.shape) > 1:
        raise DataError(
            f"{label}: was written by MATLAB (attribute 'MATLAB_class'), which stores the columns of a matrix as rows, "
            f"so its shape {stored.shape} is transposed; write it anew by h5py: file['X2'] = file['X'][()].T, and a "
            "vector as file['y2'] = file['y'][()].reshape(-1)"
        )
    parent = _plain(parent)
    if isinstance(parent, str) and parent.startswith("nullable-"):
        raise DataError(f"{label}: its missing values are in a mask beside it (encoding-type {parent!r}); store floats")

    def number(name: str) -> float | None:
        if name not in attributes:
            return None
        values = _numbers(label, name, attributes[name], dtype)
        if len(values) != 1 or not np.isfinite(float(values[0])):
            raise DataError(f"{label}: attribute {name!r} is {attributes[name]!r}, and one number is meant; correct it")
        return float(values[0])

    view = _unsigned(label, attributes, dtype)
    missing: list[Any] = [] if fill is None else [_cast(fill, dtype, False)]
    for name in ("_FillValue", "missing_value"):
        if name in attributes:
            missing += [_cast(v, dtype, view is not None) for v in _numbers(label, name, attributes[name], dtype)]
    if "rhdf5-NA.OK" in attributes and dtype.kind == "i":
        missing.append(np.iinfo(dtype).min)
    if parent == "categorical" and dtype.kind == "i":
        missing.append(-1)
    scale, offset = number("scale_factor"), number("add_offset")
    valid = _valid(label, attributes, dtype, packed=scale is not None or offset is not None)
    known = tuple(dict.fromkeys(v for v in missing if v is not None and v == v))
    return Coding(known, valid, view, scale, offset)


def _numbers(label: str, name: str, value: Any, dtype: np.dtype[Any]) -> list[Any]:
    """Return the numbers in an attribute; xarray writes floats to Zarr as base64 of a little-endian double."""
    value = _plain(value)
    if isinstance(value, str) and name == "_FillValue" and dtype.kind == "f":
        if value.lower() in ("nan", "infinity", "-infinity"):
            return [float(value)]
        with suppress(ValueError, struct.error):
            return list(struct.unpack("<d", base64.standard_b64decode(value)))
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(v, int | float) for v in values):
        raise DataError(f"{label}: attribute {name!r} is {value!r} and should be a number; correct or delete it")
    return values


def _cast(value: Any, dtype: np.dtype[Any], wraps: bool) -> Any:
    """Return a number as the stored type holds it; None if no stored number can equal it."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(value).item()
    if value != value or abs(value) == float("inf") or int(value) != value or dtype.kind == "b":
        return None
    limits, whole = np.iinfo(dtype), int(value)
    if wraps and not limits.min <= whole <= limits.max:
        whole = (whole - int(limits.min)) % 2**limits.bits + int(limits.min)
    return whole if limits.min <= whole <= limits.max else None


def _unsigned(label: str, attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    told = str(_plain(attributes.get("_Unsigned", ""))).lower()
    if told not in ("", "true", "false", "1", "0"):
        raise DataError(f"{label}: attribute '_Unsigned' is {told!r}, and true or false is meant; correct it")
    wanted = {"true": "u", "1": "u", "false": "i", "0": "i"}.get(told)
    if wanted is None or dtype.kind not in "iu" or dtype.kind == wanted:
        return None
    return native(np.dtype(f"{wanted}{dtype.itemsize}"))


def _valid(label: str, attributes: Mapping[str, Any], dtype: np.dtype[Any], packed: bool) -> tuple[Any, Any] | None:
    low: Any = -np.inf
    high: Any = np.inf
    names = [n for n in ("valid_range", "valid_min", "valid_max") if n in attributes]
    for name in names:
        values = _numbers(label, name, attributes[name], dtype)
        if len(values) != (2 if name == "valid_range" else 1):
            raise DataError(f"{label}: attribute {name!r} holds {len(values)} numbers; correct or delete it")
        if packed and dtype.kind in "iu" and not all(isinstance(v, int) for v in values):
            raise DataError(
                f"{label}: attribute {name!r} has decimals and the numbers are packed in integers, so it is not clear "
                "whether it is meant before or after unpacking; write it in the stored type, or delete it"
            )
        low = values[0] if name != "valid_max" else low
        high = values[-1] if name != "valid_min" else high
    return (low, high) if names else None
