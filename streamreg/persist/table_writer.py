"""Write tables as they are made, a few rows at a time: HDF5, Zarr or npy, told by the suffix, and always whole."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError, NotFound, UsageError
from streamreg.persist.atomic import beside, whole

Put = Callable[..., None]
"""``put(start, name=rows, ...)`` writes rows of every array from row `start` on; calls come in order."""

SUFFIXES = (".h5", ".zarr", ".npy")
COMPRESSION = {".h5": ("gzip", "lzf"), ".zarr": ("zstd", "gzip"), ".npy": ()}
_CHUNK_BYTES = {".h5": 2**20, ".zarr": 2**23}


@dataclass(frozen=True, slots=True)
class Layout:
    """What is to be written.

    Attributes
    ----------
    arrays : dict of str to int or None
        Width of each array; None for a vector. An .npy file has them side by side in one matrix.
    rows : int
    dtype : str
    columns : sequence of str
        Names of the columns of the first array; kept as an attribute where the format has any.
    chunk_rows : int, optional
        Rows of a storage chunk. An HDF5 file is contiguous unless this or `compression` is given, and then has chunks
        of about 1 MB; a Zarr store has chunks of about 8 MB.
    compression : str
        "none", gzip or lzf for HDF5, zstd or gzip for Zarr.
    dtypes : dict of str to str
        Types of arrays that have another than `dtype`.
    checksums : bool
        Whether chunks carry one: Fletcher's of HDF5, a CRC of Zarr. An HDF5 file then has chunks.
    """

    arrays: Mapping[str, int | None]
    rows: int
    dtype: str = "float64"
    columns: Sequence[str] = field(default=())
    chunk_rows: int | None = None
    compression: str = "none"
    dtypes: Mapping[str, str] = field(default_factory=dict)
    checksums: bool = False

    def dtype_of(self, name: str) -> str:
        """Return the type of an array."""
        return self.dtypes.get(name, self.dtype)

    def nbytes(self) -> int:
        """Return the bytes of all numbers, uncompressed."""
        return self.rows * sum((w or 1) * np.dtype(self.dtype_of(name)).itemsize for name, w in self.arrays.items())

    @property
    def width(self) -> int:
        """Columns of all arrays together."""
        return sum(w or 1 for w in self.arrays.values())

    def chunks(self, path: Path) -> int | None:
        """Return the rows of a storage chunk, or None for a file without chunks."""
        chunked = path.suffix == ".zarr" or self.chunk_rows or self.compression != "none" or self.checksums
        if not chunked:
            return None
        about = _CHUNK_BYTES[path.suffix] // (self.width * np.dtype(self.dtype).itemsize)
        return max(1, min(self.chunk_rows or 1 << max(0, about.bit_length() - 1), self.rows))

    def check(self, path: Path) -> None:
        """Raise `UsageError` if the suffix of `path` is not known or does not go with the options."""
        if path.suffix not in SUFFIXES:
            raise UsageError(f"{path}: the suffix tells the format, and it can be {', '.join(SUFFIXES)}")
        possible = ("none", *COMPRESSION[path.suffix])
        if self.compression not in possible:
            raise UsageError(f"{path}: compression {self.compression!r} is not for this format; {_either(possible)} is")
        if path.suffix == ".npy" and self.chunk_rows:
            raise UsageError(f"{path}: a .npy file has no chunks; leave chunk_rows out")


@contextmanager
def create(path: Path, layout: Layout, *, force: bool = False) -> Iterator[Put]:
    """Open `path` for writing; it appears under its name only when the block has ended well.

    Raises
    ------
    UsageError
        The suffix is not known, an option does not go with it, or the file exists and `force` is false.
    NotFound
        No such folder.
    DataError
        The file cannot be written: disk full, no permission. Nothing is left behind.
    """
    layout.check(path)
    require_replaceable(path, force)
    place = _whole_folder if path.suffix == ".zarr" else whole
    writer = {".h5": _hdf5, ".zarr": _zarr, ".npy": _npy}[path.suffix]
    with place(path) as temporary:
        free = shutil.disk_usage(path.parent).free
        if layout.compression == "none" and layout.nbytes() > free:
            needs = f"it needs {layout.nbytes() / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free"
            raise OSError(errno.ENOSPC, needs)
        with writer(temporary, layout) as put:
            yield put


def require_replaceable(path: Path, force: bool) -> None:
    """Refuse to replace a file unless `force` is true, and whatever this program cannot have written."""
    if not path.parent.is_dir():
        raise NotFound(f"{path}: no folder {str(path.parent)!r}; make it first")
    if path.exists() and not force:
        raise UsageError(f"{path}: is there already; pass force=True to replace it")
    if path.suffix == ".zarr":
        if path.exists() and not any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray")):
            raise UsageError(f"{path}: is there already and is not a Zarr store; move it away or choose another name")
    elif path.is_dir():
        raise UsageError(f"{path}: is a folder; choose another name")


@contextmanager
def _npy(path: Path, layout: Layout) -> Iterator[Put]:
    vector = list(layout.arrays.values()) == [None]
    shape = (layout.rows,) if vector else (layout.rows, layout.width)
    with path.open("wb") as file:
        header = {"descr": np.dtype(layout.dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)

        def put(start: int, **rows: NDArray[Any]) -> None:
            table = np.column_stack([rows[name] for name in layout.arrays])
            file.write(np.ascontiguousarray(table, dtype=layout.dtype).data)

        yield put


@contextmanager
def _hdf5(path: Path, layout: Layout) -> Iterator[Put]:
    import h5py

    chunk = layout.chunks(path)
    filters: dict[str, Any] = {"fletcher32": True} if layout.checksums else {}
    if layout.compression != "none":
        filters |= {"compression": layout.compression, "shuffle": True}
    if layout.compression == "gzip":
        filters["compression_opts"] = 1  # numbers hardly shrink further at higher levels, and take far longer
    try:
        with h5py.File(path, "w") as file:
            made = {
                name: file.create_dataset(
                    name,
                    (layout.rows, *(() if width is None else (width,))),
                    layout.dtype_of(name),
                    chunks=chunk and (chunk, *(() if width is None else (width,))),
                    **filters,
                )
                for name, width in layout.arrays.items()
            }
            if layout.columns:
                # As one text, because a list of thousands of names does not fit an attribute.
                first = next(iter(made.values()))
                file.attrs["columns"] = first.attrs["columns"] = json.dumps(list(layout.columns))
            yield _into(made)
    except (OSError, RuntimeError) as error:  # the library's messages are a paragraph each
        reasons = (code for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if os.strerror(code) in str(error))
        code = next(reasons, getattr(error, "errno", None) or errno.EIO)
        raise OSError(code, os.strerror(code)) from error


@contextmanager
def _zarr(path: Path, layout: Layout) -> Iterator[Put]:
    import zarr
    from zarr.codecs import Crc32cCodec, GzipCodec, ZstdCodec

    chunk = layout.chunks(path) or 1
    codec = {"none": None, "gzip": GzipCodec(level=1), "zstd": ZstdCodec(level=3)}[layout.compression]
    codecs = [c for c in (codec, Crc32cCodec() if layout.checksums else None) if c is not None]
    group = zarr.open_group(path, mode="w")
    made = {}
    for name, width in layout.arrays.items():
        tail = () if width is None else (width,)
        made[name] = group.create_array(
            name,
            shape=(layout.rows, *tail),
            chunks=(chunk, *tail),
            dtype=layout.dtype_of(name),
            compressors=codecs or None,
            config={"write_empty_chunks": True},  # a chunk that is not there cannot be told from one that is lost
        )
    if layout.columns:
        group.attrs["columns"] = next(iter(made.values())).attrs["columns"] = list(layout.columns)
    yield _into(made)


def _into(arrays: Mapping[str, Any]) -> Put:
    def put(start: int, **rows: NDArray[Any]) -> None:
        for name, array in arrays.items():
            array[start : start + len(rows[name])] = rows[name]

    return put


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """Do for a folder what `whole` does for a file."""
    temporary = Path(beside(path, tempfile.mkdtemp))
    try:
        fresh = temporary / path.name
        fresh.mkdir()
        yield fresh
        if path.exists():
            path.rename(temporary / "old")
        fresh.rename(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); nothing was left behind") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _either(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
