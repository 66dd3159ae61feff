"""HDF5 files.

Contiguous datasets are read past the library, at their offset in the file. Chunked ones are read by whole chunks, so
that none is decoded twice, and the library's chunk cache is switched off, so that none is kept. Unless their filters
are unusual, the chunks are read past the library too.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from streamreg.errors import ChangedError, CorruptError, DataError, MissingExtra
from streamreg.sources.checks import check_numeric, native, span
from streamreg.sources.files import file_fingerprint, require_file, require_unchanged
from streamreg.sources.hdf5_chunks import ChunksStored, chunk_table
from streamreg.sources.hdf5_filters import known_filters
from streamreg.sources.hierarchy import choose_matrix, choose_vectors, named_columns
from streamreg.sources.raw import RawStored
from streamreg.sources.table import Read, Stored, TableSource

_LARGE = 2**22


@dataclass(slots=True)
class Hdf5Stored(Stored):
    """A dataset that the HDF5 library reads; `owner` is the file that holds it, if a link leads to another."""

    path: str
    dataset: str
    label: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int
    owner: str
    seen: str
    piece_bytes: int = 2**20

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Return what reads rows into one buffer, in the machine's byte order."""
        buffer = np.empty((0, *self.shape[1:]), self.dtype)
        require_unchanged(self.owner, self.seen)
        with _opened(Path(self.path)) as file:
            dataset = _get(file, self.dataset)
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
        require_unchanged(self.owner, self.seen)

    def fingerprint(self) -> str:
        """Return size, time of last change and identity of the file, and of the one that a link leads to."""
        return " ".join(file_fingerprint(p) for p in dict.fromkeys((self.path, self.owner))) + f" {self.dataset}"


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
    with _opened(require_file(path)) as file:

        def has(name: str) -> bool:
            return _get(file, name) is not None

        def stored(name: str) -> Stored:
            return _stored(where, file, name, missing_chunks == "fill")

        chosen = choose_matrix(where, x, has, lambda: _listing(file))
        matrix = stored(chosen)
        attribute = file[chosen].attrs.get("columns", file.attrs.get("columns"))
        names = columns if columns is not None else named_columns(matrix.label, attribute)
        table = TableSource(where, matrix, columns=names)
        paths = choose_vectors(where, (target, weights), table.schema.names, has, lambda: _listing(file))
        return TableSource(where, matrix, {name: stored(p) for name, p in paths.items()}, names) if paths else table


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(path, "r", rdcc_nbytes=0)
    except (PermissionError, BlockingIOError) as error:
        raise DataError(
            f"{path}: cannot be opened for reading, or is being written ({error}); close the writer"
        ) from error
    except OSError as error:
        raise CorruptError(
            f"{path}: not a readable HDF5 file ({error}); it is cut short or something else, copy or write it again"
        ) from error
    with file:
        yield file


def _get(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return a dataset, or None if there is none of that name."""
    if name not in file:
        return None
    try:
        found = file[name]
    except (KeyError, OSError, RuntimeError) as error:
        raise CorruptError(
            f"{file.filename}: dataset {name!r} cannot be opened ({error}); "
            "it links to a file that is not there, or the file is damaged: copy or write it again"
        ) from error
    return found if isinstance(found, h5py.Dataset) else None


def _listing(file: h5py.File) -> Mapping[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset) and thing.shape is not None:
            shapes[name] = thing.shape

    file.visititems(note)
    return shapes


def _stored(where: str, file: h5py.File, name: str, fill: bool) -> Stored:
    """Return a dataset as an array to be read, if all of it is there."""
    label = f"{where}: dataset {name!r}"
    dataset = _get(file, name)
    if dataset is None or dataset.shape is None:
        raise DataError(f"{label}: is empty or not a dataset; check how it was written")
    try:
        dtype = dataset.dtype
    except TypeError as error:
        raise DataError(f"{label}: its type cannot be read ({error}); store plain numbers") from error
    check_numeric(label, dtype)
    properties = dataset.id.get_create_plist()
    if not fill:
        _require_complete(label, dataset, properties)
    shape, plain, same_file = dataset.shape, native(dtype), dataset.file == file
    offset = dataset.id.get_offset() if properties.get_layout() == h5py.h5d.CONTIGUOUS else None
    plainly = same_file and h5py.h5t.py_create(dtype) == dataset.id.get_type()
    seen = file_fingerprint(where)
    if offset is not None and plainly:
        raw = RawStored(where, label, shape, np.dtype(dtype.str), offset, seen)
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
            return ChunksStored(where, label, shape, np.dtype(dtype.str), dataset.chunks, filters, table, seen)
    _require_filters(label, properties)
    rows = 1 if large else rows
    owner = where if same_file else dataset.file.filename
    return Hdf5Stored(where, name, label, shape, plain, rows, owner, file_fingerprint(owner))


def _require_filters(label: str, properties: Any) -> None:
    """Raise `MissingExtra` for a filter that the library lacks; the package that brings most of them is tried first."""
    for i in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            remedy = "install the HDF5 plug-in that brings it, hdf5plugin does not"
            try:
                import_module("hdf5plugin")
            except ImportError:
                remedy = "pip install hdf5plugin"
            if not h5py.h5z.filter_avail(code):
                raise MissingExtra(
                    f"{label}: was stored with filter {code} ({name.decode(errors='replace') or 'unnamed'}), "
                    f"which is not installed; {remedy}"
                )


def _require_complete(label: str, dataset: h5py.Dataset, properties: Any) -> None:
    """Raise `CorruptError` if rows were never written, which the library would read as the fill value."""
    layout = properties.get_layout()
    if layout == h5py.h5d.CHUNKED:
        missing = _missing_chunk(dataset)
        if missing is not None:
            (count, expected), corner = missing
            limits = zip(("row", "column"), corner, dataset.chunks, dataset.shape, strict=False)
            place = ", ".join(span(what, at, min(at + step, end)) for what, at, step, end in limits)
            raise _incomplete(label, f"{expected - count:,} of {expected:,} chunks, the first of them {place},")
    elif layout == h5py.h5d.CONTIGUOUS and not properties.get_external_count():
        if dataset.size and dataset.id.get_offset() is None:
            raise _incomplete(label, f"{span('row', 0, dataset.shape[0])}")
    elif layout == h5py.h5d.VIRTUAL:
        mapped = 0
        for source in dataset.virtual_sources():
            mapped += source.vspace.get_select_npoints()
            _require_source(label, dataset, source)
        if mapped < dataset.size:
            raise _incomplete(label, f"{dataset.size - mapped:,} numbers, mapped to no other file,")


def _require_source(label: str, dataset: h5py.Dataset, source: Any) -> None:
    """Check the dataset that part of a virtual one refers to."""
    if source.file_name == ".":
        part = _get(dataset.file, source.dset_name)
        if part is not None:
            return _require_part(label, part)
    for path in (Path(dataset.file.filename).parent / source.file_name, Path(source.file_name)):
        if path.is_file():
            with _opened(path) as file:
                part = _get(file, source.dset_name)
                if part is not None:
                    return _require_part(label, part)
    raise _incomplete(label, f"the part mapped to dataset {source.dset_name!r} of {source.file_name}")


def _require_part(label: str, part: h5py.Dataset) -> None:
    properties = part.id.get_create_plist()
    _require_filters(label, properties)
    _require_complete(label, part, properties)


def _incomplete(label: str, what: str) -> CorruptError:
    return CorruptError(
        f"{label}: {what} not there: never written, or lost; "
        "write the file again, or say missing_chunks='fill' if the fill value is meant"
    )


def _missing_chunk(dataset: h5py.Dataset) -> tuple[tuple[int, int], tuple[int, ...]] | None:
    """Return the numbers of chunks there and expected and the corner of the first missing one, if one is missing."""
    corners = [range(0, n, step) for n, step in zip(dataset.shape, dataset.chunks, strict=True)]
    expected = int(np.prod([len(c) for c in corners], dtype=np.int64))
    count = dataset.id.get_num_chunks()
    if count >= expected:
        return None
    there: set[tuple[int, ...]] = set()
    dataset.id.chunk_iter(lambda chunk: there.add(chunk.chunk_offset))
    return (count, expected), next(c for c in itertools.product(*corners) if c not in there)
