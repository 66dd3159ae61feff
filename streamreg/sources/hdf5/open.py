"""HDF5 files.

Contiguous datasets are read past the library, at their offset in the file. Chunked ones are read by whole chunks, so
that none is decoded twice, and the library's chunk cache is switched off, so that none is kept. Unless their filters
are unusual, the chunks are read past the library too.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from streamreg.errors import ChangedError, CorruptError, DataError
from streamreg.sources.checks import check_numeric, native, span
from streamreg.sources.hdf5.chunks import ChunksStored, chunk_table
from streamreg.sources.hdf5.complete import files_of
from streamreg.sources.hdf5.filters import known_filters
from streamreg.sources.hdf5.library import get, listing, opened
from streamreg.sources.stored.coding import decoded
from streamreg.sources.stored.datasets import choose_matrix, choose_vectors, named_columns
from streamreg.sources.stored.files import file_fingerprint, require_file, require_unchanged
from streamreg.sources.stored.raw import RawStored
from streamreg.sources.stored.table import Read, Stored, TableSource

_LARGE = 2**22


@dataclass(slots=True)
class Hdf5Stored(Stored):
    """A dataset that the HDF5 library reads; `seen` are the fingerprints of all files that it lies in."""

    path: str
    dataset: str
    label: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int
    seen: dict[str, str]
    piece_bytes: int = 2**20

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Return what reads rows into one buffer, in the machine's byte order."""
        buffer = np.empty((0, *self.shape[1:]), self.dtype)
        self._require_unchanged()
        with opened(Path(self.path)) as file:
            dataset = get(file, self.dataset)
            if dataset is None or dataset.shape != self.shape:
                raise ChangedError(f"{self.label}: is not what it was when it was opened; open it anew")

            def read(a: int, b: int) -> NDArray[Any]:
                nonlocal buffer
                if len(buffer) < b - a:
                    buffer = np.empty((b - a, *self.shape[1:]), self.dtype)
                try:
                    dataset.read_direct(buffer, np.s_[a:b], np.s_[: b - a])
                except (OSError, RuntimeError) as error:
                    raise CorruptError(
                        f"{self.label}: {span('row', a, b)} cannot be read ({error}); "
                        "the file is damaged or cut short, copy or write it again"
                    ) from error
                return buffer[: b - a]

            yield read
        self._require_unchanged()

    def fingerprint(self) -> str:
        """Return size, time of last change and identity of the file, and of those that it leads to."""
        return " ".join(map(file_fingerprint, self.seen)) + f" {self.dataset}"

    def _require_unchanged(self) -> None:
        for path, seen in self.seen.items():
            require_unchanged(path, seen)


def open_hdf5(
    path: Path,
    x: str | None = None,
    target: str | None = None,
    weights: str | None = None,
    columns: Sequence[str] | None = None,
    missing_chunks: str = "error",
) -> TableSource:
    """Return a source over datasets of an HDF5 file.

    Parameters
    ----------
    path : Path
        The file.
    x : str, optional
        Path of the matrix in the file; if not given, the only matrix, or the one called X or x.
    target, weights : str, optional
        What is not a column of the matrix is the path of a dataset with one number per row.
    columns : sequence of str, optional
        If not given, the attribute ``columns`` of the matrix, or of the file.
    missing_chunks : {"error", "fill"}
        Whether chunks that were never written are refused, or read as the fill value.

    Raises
    ------
    NotFound
        No such file or dataset.
    CorruptError
        The file is cut short, or rows were never written.
    MissingExtra
        A compression filter is not installed.
    DataError
        Not a matrix of numbers, or lengths differ.
    """
    where = str(path)
    with opened(require_file(path)) as file:

        def has(name: str) -> bool:
            return get(file, name) is not None

        def stored(name: str) -> Stored:
            array = _stored(where, file, name, missing_chunks == "fill")
            dataset = file[name]
            fill = None if missing_chunks == "fill" else _defined_fill(dataset)
            return decoded(array, dataset.attrs, fill, dataset.parent.attrs.get("encoding-type", ""))

        chosen = choose_matrix(where, x, has, lambda: listing(file))
        matrix = stored(chosen)
        attribute = file[chosen].attrs.get("columns", file.attrs.get("columns"))
        names = columns if columns is not None else named_columns(matrix.label, attribute)
        table = TableSource(where, matrix, columns=names)
        paths = choose_vectors(where, (target, weights), table.schema.names, has, lambda: listing(file))
        return TableSource(where, matrix, {name: stored(p) for name, p in paths.items()}, names) if paths else table


def _defined_fill(dataset: h5py.Dataset) -> Any:
    """Return what rows hold that were never written, if that was set and is not zero."""
    set_by_user = dataset.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED
    fill = dataset.fillvalue if set_by_user and dataset.dtype.kind in "fiu" else None
    return fill.item() if fill else None


def _stored(where: str, file: h5py.File, name: str, fill: bool) -> Stored:
    """Return a dataset as an array to be read, if all of it is there."""
    label = f"{where}: dataset {name!r}"
    dataset = get(file, name)
    if dataset is None or dataset.shape is None:
        raise DataError(f"{label}: is empty or not a dataset; check how it was written")
    try:
        dtype = dataset.dtype
    except TypeError as error:
        raise DataError(f"{label}: its type cannot be read ({error}); store plain numbers") from error
    check_numeric(label, dtype)
    properties = dataset.id.get_create_plist()
    shape, plain, same_file = dataset.shape, native(dtype), dataset.file == file
    offset = dataset.id.get_offset() if properties.get_layout() == h5py.h5d.CONTIGUOUS else None
    plainly = same_file and h5py.h5t.py_create(dtype) == dataset.id.get_type()
    if offset is not None and plainly:
        raw = RawStored(where, label, shape, np.dtype(dtype.str), offset, file_fingerprint(where))
        raw.check_size()
        return raw
    rows = dataset.chunks[0] if dataset.chunks else 1
    band = rows * plain.itemsize * int(np.prod(shape[1:], dtype=np.int64))
    large = band > _LARGE and not properties.get_nfilters()  # the library can read part of such a chunk
    across = dataset.chunks and dataset.chunks[1:] == shape[1:]
    if plainly and dataset.chunks and len(shape) <= 2 and not file.userblock_size and (across or not large):
        filters = known_filters(properties, plain.itemsize)
        table = None if filters is None else chunk_table(dataset, filters)
        if filters is not None and table is not None:
            seen = file_fingerprint(where)
            return ChunksStored(where, label, shape, np.dtype(dtype.str), dataset.chunks, filters, table, seen)
    files = dict.fromkeys((where, *files_of(label, dataset, fill)))
    seen_all = {path: file_fingerprint(path) for path in files}
    return Hdf5Stored(where, name, label, shape, plain, 1 if large else rows, seen_all)
