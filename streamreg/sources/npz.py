"""NumPy's archives (.npz) and records: each array or field is a column, a matrix is several."""

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import CorruptError, DataError
from streamreg.sources.arrays import ArrayStored
from streamreg.sources.base import BLOCK, TEXT, Partition, Schema, Source, row_ranges
from streamreg.sources.checks import column_names, native
from streamreg.sources.chunk import Chunk, Column
from streamreg.sources.mapping import coded
from streamreg.sources.stored.files import file_fingerprint, require_file, require_unchanged
from streamreg.sources.stored.raw import RawStored
from streamreg.sources.stored.table import Stored, pieces

_PIECE = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Where the values of a column are: an array, and which field or column of it, if it has several."""

    array: str
    inner: str | int | None
    dtype: np.dtype[Any]


@dataclass(slots=True)
class StoredPartition(Partition):
    """Rows `start` to `stop` of several arrays."""

    start: int
    stop: int
    path: str
    seen: str
    arrays: dict[str, Stored]
    columns: dict[str, Part]

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order."""
        require_unchanged(self.path, self.seen)
        row_bytes = sum(array.row_bytes for array in self.arrays.values())
        with ExitStack() as stack:
            reads = {name: stack.enter_context(array.reader()) for name, array in self.arrays.items()}
            for a, b in pieces(self.start, self.stop, rows * max(1, _PIECE // max(1, rows * row_bytes))):
                held = {name: read(a, b) for name, read in reads.items()}
                label = f"{self.path}, rows {a:,}-{b - 1:,}: column"
                vectors = {n: _values(held[part.array], part, f"{label} {n!r}") for n, part in self.columns.items()}
                yield Chunk(a, np.empty((b - a, 0)), (), vectors)
        require_unchanged(self.path, self.seen)

    def cut(self, start: int, stop: int) -> Partition:
        """Return some of the rows."""
        return replace(self, start=start, stop=stop)


def _values(array: NDArray[Any], part: Part, label: str) -> Column:
    values = array if part.inner is None else array[part.inner] if isinstance(part.inner, str) else array[:, part.inner]
    return coded(values, label) if part.dtype == TEXT else values.reshape(-1).astype(part.dtype, copy=False)


class StoredColumns(Source):
    """Arrays of one length, side by side.

    Parameters
    ----------
    path : Path
        The file.
    arrays : mapping of str to Stored

    Raises
    ------
    DataError
        They are not of one length.
    """

    def __init__(self, path: Path, arrays: Mapping[str, Stored]) -> None:
        self.label, self._seen = str(path), file_fingerprint(path)
        self._arrays = dict(arrays)
        lengths = {name: stored.shape[0] if stored.shape else 0 for name, stored in self._arrays.items()}
        if len(set(lengths.values())) > 1:
            short, long = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
            raise DataError(
                f"{path}: {short!r} has {lengths[short]:,} rows and {long!r} has {lengths[long]:,}; "
                "all arrays must be of one length"
            )
        if not any(lengths.values()):
            raise DataError(f"{path}: has no rows; there is nothing to fit, check how it was written")
        self._columns: dict[str, Part] = {}
        for name, stored in self._arrays.items():
            for column, part in _parts(name, stored, self.label):
                if column in self._columns:
                    raise DataError(f"{path}: two columns are called {column!r}; rename an array")
                self._columns[column] = part
        dtypes = tuple(part.dtype for part in self._columns.values())
        self.schema = Schema(tuple(self._columns), dtypes, max(lengths.values()))

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        """Return the partitions; only the arrays that are needed are read."""
        wanted = {
            n: p for n, p in self._columns.items() if p.dtype.kind != "O" and (columns is None or n in set(columns))
        }
        arrays = {name: self._arrays[name] for name in dict.fromkeys(part.array for part in wanted.values())}
        row_bytes = sum(array.row_bytes for array in arrays.values())
        return [
            StoredPartition(a, b, self.label, self._seen, {n: s.part(a, b) for n, s in arrays.items()}, wanted)
            for a, b in row_ranges(self.schema.n_rows or 0, max(1, row_bytes), 1, block)
        ]

    def fingerprint(self) -> str:
        """Return size, time of last change and identity of the file."""
        return file_fingerprint(self.label)


def _parts(name: str, stored: Stored, label: str) -> list[tuple[str, Part]]:
    """Return the columns that an array makes, and where they are in it."""
    dtype, shape = stored.dtype, stored.shape
    if dtype.names is not None:
        return [(field, Part(name, field, _type(dtype[field]))) for field in dtype.names]
    if len(shape) == 1 or shape[1:] == (1,):
        return [(name, Part(name, None if len(shape) == 1 else 0, _type(dtype)))]
    if len(shape) == 2:
        names = column_names([f"{name}{k}" for k in range(shape[1])], shape[1], label)
        return [(column, Part(name, k, _type(dtype))) for k, column in enumerate(names)]
    raise DataError(f"{label}: {name!r} has shape {shape}; columns are of shape (n,), or (n, p) side by side")


def _type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of a column in a chunk; `object` where it cannot be used."""
    if dtype.kind == "U" or dtype.kind == "T":
        return TEXT
    if dtype.kind == "M":
        return dtype.newbyteorder("=")
    return native(dtype) if dtype.kind in "fiub" and dtype.itemsize <= 8 and dtype.shape == () else np.dtype(object)


def open_npz(path: Any) -> StoredColumns:
    """Return a source over an archive of arrays.

    Arrays that are not compressed are read where they lie; compressed ones are held in memory.

    Raises
    ------
    NotFound
        No such file.
    CorruptError
        It is no archive, or damaged.
    DataError
        The arrays are no columns, or of several lengths.
    """
    file = require_file(Path(path))
    try:
        with zipfile.ZipFile(file) as archive:
            found = {m.filename.removesuffix(".npy"): _member(file, archive, m) for m in archive.infolist()}
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise CorruptError(f"{path}: not a readable .npz file ({error}); write it again with numpy.savez") from error
    if not found:
        raise DataError(f"{path}: has no arrays; there is nothing to fit, check how it was written")
    return StoredColumns(file, found)


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Stored:
    """Return one array of an archive."""
    label = f"{path}: {member.filename!r}"
    with archive.open(member) as stream:
        try:
            version = np.lib.format.read_magic(stream)
            if version > (2, 0):
                return ArrayStored(np.lib.format.read_array(archive.open(member), allow_pickle=False), label)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = header(stream)
        except Exception as error:  # a damaged header fails in the tokenizer, the evaluator or the checks
            raise CorruptError(f"{label}: not a readable array ({error}); write it again with numpy.savez") from error
        length = stream.tell()
    if dtype.hasobject:
        raise DataError(
            f"{label}: holds Python objects; convert text with astype('U') and numbers with astype('float64')"
        )
    if len(shape) == 0:
        raise DataError(f"{label}: is a single value; leave it out of the archive")
    if member.compress_type == zipfile.ZIP_STORED:
        with path.open("rb") as file:
            file.seek(member.header_offset + 26)
            sizes = np.frombuffer(file.read(4), "<u2")
        offset = member.header_offset + 30 + int(sizes.sum()) + length
        stored = RawStored(str(path), label, shape, dtype, offset, file_fingerprint(path), fortran and len(shape) > 1)
        stored.check_size()
        return stored
    with archive.open(member) as stream:
        return ArrayStored(np.lib.format.read_array(stream, allow_pickle=False), label)


def open_records(path: Path) -> StoredColumns | None:
    """Return a source over a .npy file if it holds records: a column for each field."""
    if not os.path.isfile(path):  # noqa: PTH113  # as it says so of names that are too long, too
        return None
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except Exception:  # whatever is wrong with it is told by what reads matrices
        return None
    if mapped.dtype.names is None or mapped.ndim != 1 or mapped.dtype.hasobject:
        return None
    stored = RawStored(str(path), str(path), mapped.shape, mapped.dtype, mapped.offset, file_fingerprint(path))
    return StoredColumns(path, {"records": stored})
