"""One schema for a table that lies in several files: columns are matched by name, and types by what both can hold."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from streamreg.errors import DataError, nearest
from streamreg.sources.arrow.columns import dtype_of
from streamreg.sources.base import TEXT, Schema


class Fields:
    """Columns of a table, as found in one file after another.

    Whole numbers, floats and decimals of several widths are widened to a type that holds them all; so are dates. A
    column that is missing in a file, or of another kind there, is refused when it is asked for. Columns that only later
    files have are left out.

    Attributes
    ----------
    dtypes : dict of str to dtype
    zones : dict of str to str
    """

    def __init__(self) -> None:
        self.dtypes: dict[str, np.dtype[Any]] = {}
        self.zones: dict[str, str] = {}
        self._first = ""
        self._kinds: dict[str, str] = {}
        self._found: dict[str, str] = {}
        self._wrong: dict[str, str] = {}
        self._last: tuple[Any, Collection[str]] | None = None

    def add(self, label: str, schema: Any, nullable: Collection[str]) -> None:
        """Take the columns of one more file.

        Parameters
        ----------
        label : str
            How errors call the file.
        schema : pyarrow.Schema
        nullable : collection of str
            Columns of whole numbers or booleans that may hold missing values.

        Raises
        ------
        DataError
            Two columns of the file share a name.
        """
        first = not self._first
        if not first and self._last is not None and (nullable == self._last[1] and schema.equals(self._last[0])):
            return
        self._last = schema, nullable
        if first:
            self._first = label
            Schema(tuple(schema.names), tuple(np.dtype(object) for _ in schema.names), None)
        for name in schema.names if first else list(self.dtypes):
            if (times := len(schema.get_all_field_indices(name))) != 1:
                found = f"no column {name!r}{nearest(name, schema.names)}" if not times else f"two columns {name!r}"
                self._refuse(name, f"{label}: has {found}", f"{self._first} has one that holds {self._found[name]}")
                continue
            kind = schema.field(name).type
            self._add(name, label, kind, _type_of(kind, name in nullable), first)

    def _add(self, name: str, label: str, kind: Any, dtype: np.dtype[Any] | None, first: bool) -> None:
        zone = str(kind.tz or "") if pa.types.is_timestamp(kind) else ""
        word = "" if dtype is None else _word(kind, dtype) + (f" in {zone}" if zone else "")
        if first or not self._kinds[name]:
            self._kinds[name], self._found[name] = word, str(kind)
            self.dtypes[name] = np.dtype(np.float64) if dtype is None else dtype if first else _nullable(dtype)
            if zone:
                self.zones[name] = zone
        elif dtype is None:
            self.dtypes[name] = _nullable(self.dtypes[name])
        elif word == self._kinds[name]:
            if dtype.kind not in "TO":
                self.dtypes[name] = np.result_type(self.dtypes[name], dtype)
        else:
            found = f"{label}: column {name!r} holds {kind}"
            self._refuse(name, found, f"{self._first} it holds {self._found[name]}", "in ")

    def _refuse(self, name: str, found: str, expected: str, joined: str = "") -> None:
        self._wrong.setdefault(
            name, f"{found}, and {joined}{expected}; write that file again, or leave the column out with features"
        )

    def add_constants(self, files: Sequence[Mapping[str, Any]]) -> None:
        """Take columns that hold one value in each file, unless the files have columns of those names themselves."""
        for name in files[0]:
            values = {constants[name] for constants in files}
            if name not in self.dtypes:
                text = any(isinstance(value, str) for value in values)
                self.dtypes[name] = TEXT if text else np.dtype(np.int64)
                self._found[name] = "text" if text else "int64"

    def require(self, columns: Collection[str], label: str) -> None:
        """Refuse columns that some file has not, or has in another type.

        Raises
        ------
        DataError
            With the file, what was found there and what was expected.
        """
        for name in columns:
            if name in self._wrong:
                raise DataError(self._wrong[name])
            if name in self.dtypes and self.dtypes[name].kind == "O":
                raise DataError(f"{label}: column {name!r} is of type {self._found[name]}, which cannot be used")

    def schema(self, rows: int | None) -> Schema:
        """Return the schema of a table of so many rows; None: not known."""
        return Schema(tuple(self.dtypes), tuple(self.dtypes.values()), rows, self.zones)


def _type_of(kind: Any, nullable: bool) -> np.dtype[Any] | None:
    """Return the type of a column in a chunk; None where all values of a file are missing."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return None if pa.types.is_null(value) else dtype_of(kind, nullable)


def _nullable(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of a column some of whose values are missing."""
    return np.dtype(np.int64) if dtype.kind in "iub" else dtype


def _word(kind: Any, dtype: np.dtype[Any]) -> str:
    """Return what a column holds: columns of two files that hold the same can be widened to one type."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_boolean(value):
        return "booleans"
    return {"f": "numbers", "i": "numbers", "u": "numbers", "T": "text", "M": "dates"}.get(dtype.kind, str(kind))
