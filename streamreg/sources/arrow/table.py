"""What all tables of columns share: a schema that holds for all files, and columns that folders name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreg.errors import DataError, nearest
from streamreg.kernels.gram import NAT
from streamreg.sources.arrow.columns import column, common, dtype_of
from streamreg.sources.base import TEXT, Schema
from streamreg.sources.chunk import Chunk, Coded, Column

_WORDS = {"f": "floats", "i": "integers", "u": "integers", "b": "true and false", "M": "dates", "T": "text"}


@dataclass(frozen=True, slots=True)
class Fields:
    """Columns of one file: their types in a chunk, and time zones."""

    dtypes: dict[str, np.dtype[Any]]
    zones: dict[str, str]

    @classmethod
    def of(cls, schema: Any, nullable: Mapping[str, bool] | None = None) -> "Fields":
        """Read an Arrow schema; `nullable` says where integers are missing (default: they may be everywhere)."""
        dtypes, zones = {}, {}
        for field in schema:
            if field.name in dtypes:
                raise DataError(f"two columns are called {field.name!r}; rename one")
            missing = field.nullable if nullable is None else nullable.get(field.name, field.nullable)
            dtypes[field.name] = dtype_of(field.type, missing)
            if getattr(field.type, "tz", None):
                zones[field.name] = field.type.tz
        return cls(dtypes, zones)


def joined(several: Sequence[Fields], files: Sequence[Any]) -> Fields:
    """Return the columns of several files together: those of the first, in types that hold the values of all.

    Raises
    ------
    DataError
        A file lacks a column of the first one, or has other things in it.
    """
    first = several[0]
    dtypes = dict(first.dtypes)
    for file, own in zip(files[1:], several[1:], strict=True):
        if own == first:
            continue
        for name, expected in dtypes.items():
            if name not in own.dtypes:
                hint = nearest(name, own.dtypes)
                raise DataError(
                    f"{file}: has no column {name!r}, which {files[0]} has{hint}; write it again, or leave it out"
                )
            found = common(expected, own.dtypes[name])
            if found is None or own.zones.get(name) != first.zones.get(name):
                raise DataError(
                    f"{file}, column {name!r}: holds {_word(own.dtypes[name])}{_zone(own, name)}, and {files[0]} has "
                    f"{_word(expected)}{_zone(first, name)} there; convert one of them"
                )
            dtypes[name] = found
    return Fields(dtypes, first.zones)


def _word(dtype: np.dtype[Any]) -> str:
    return _WORDS.get(dtype.kind, "what cannot be used")


def _zone(fields: Fields, name: str) -> str:
    return f" in zone {fields.zones[name]}" if name in fields.zones else ""


def with_folders(fields: Fields, parts: Sequence[tuple[tuple[str, str | None], ...]]) -> Fields:
    """Return the columns with those that folders name: whole numbers if all of them are, else text."""
    dtypes = dict(fields.dtypes)
    for k, (name, _) in enumerate(parts[0]):
        values = [own[k][1] for own in parts]
        dtypes[name] = np.dtype(np.int64) if all(v is None or _whole(v) for v in values) else TEXT
    return Fields(dtypes, fields.zones)


def _whole(text: str) -> bool:
    return re.fullmatch(r"0|-?[1-9][0-9]{0,16}", text) is not None


def schema_of(fields: Fields, rows: int | None) -> Schema:
    """Return the schema of a source."""
    return Schema(tuple(fields.dtypes), tuple(fields.dtypes.values()), rows, dict(fields.zones))


def usable(schema: Schema, columns: Sequence[str] | None) -> dict[str, np.dtype[Any]]:
    """Return the types of the columns wanted (None: of all), those left out that nothing can use."""
    wanted = None if columns is None else set(columns)
    pairs = zip(schema.names, schema.dtypes, strict=True)
    return {name: dtype for name, dtype in pairs if dtype.kind != "O" and (wanted is None or name in wanted)}


def chunk_of(
    batch: Any, start: int, dtypes: Mapping[str, np.dtype[Any]], folders: Mapping[str, str | None], label: str
) -> Chunk:
    """Return a record batch as a chunk.

    Parameters
    ----------
    batch : pyarrow.RecordBatch or pyarrow.Table
    start : int
    dtypes : mapping of str to dtype
        Of the columns wanted, those that folders name among them.
    folders : mapping of str to str or None
        Values of columns that folders name.
    label : str
    """
    vectors: dict[str, Column] = {}
    for name, dtype in dtypes.items():
        if name in folders:
            vectors[name] = _constant(folders[name], dtype, batch.num_rows)
        else:
            vectors[name] = column(batch.column(name), f"{label}, column {name!r}", dtype)
    return Chunk(start, np.empty((batch.num_rows, 0)), (), vectors)


def _constant(value: str | None, dtype: np.dtype[Any], rows: int) -> Column:
    if dtype == TEXT:
        return Coded(np.full(rows, -1 if value is None else 0, np.int32), ("" if value is None else value,))
    return np.full(rows, NAT if value is None else int(value), np.int64)
