"""Files of made-up rows whose true coefficients are known: `streamreg generate`."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from streamreg.engines.threads import ordered_map
from streamreg.errors import DataError, NotFound, UsageError
from streamreg.files import whole
from streamreg.progress import Progress
from streamreg.sources.synthetic import TARGET, Recipe
from streamreg.validation import validated

Put = Callable[[int, NDArray[Any], NDArray[Any]], None]
"""Write rows from a row number on: X and y."""

_COMPRESSION = {".h5": ("gzip", "lzf"), ".zarr": ("zstd", "gzip"), ".npy": ()}
_CHUNK_BYTES = {".h5": 2**20, ".zarr": 2**23, ".npy": 0}


class Generate(Recipe):
    """Which rows to make, and how to store them.

    Parameters
    ----------
    chunk_rows : int, optional
        Rows of a storage chunk. An HDF5 file is contiguous unless this or `compression` is given, and then has chunks
        of about 1 MB; a Zarr store has chunks of about 8 MB.
    compression : {"none", "gzip", "lzf", "zstd"}
        gzip or lzf for HDF5, zstd or gzip for Zarr.
    """

    chunk_rows: int | None = Field(default=None, gt=0)
    compression: Literal["none", "gzip", "lzf", "zstd"] = "none"

    def write(self, out: str | os.PathLike[str], *, force: bool = False, progress: bool | None = None) -> None:
        """Write the rows to `out`, whose suffix tells the format, and the truth about them to ``<out>.json``.

        Raises
        ------
        UsageError
            The suffix is not known, an option does not go with it, or the file exists and `force` is false.
        NotFound
            No such folder.
        DataError
            The file cannot be written: disk full, no permission. Nothing is left behind.
        """
        path = Path(out)
        self.check(path)
        if not path.parent.is_dir():
            raise NotFound(f"{path}: no folder {str(path.parent)!r}; make it first")
        side = truth_path(path)
        for existing in (path, side):
            if existing.exists() and not force:
                raise UsageError(f"{existing}: is there already; pass --force (force=True) to replace it")
        _require_replaceable(path)
        create = {".h5": _hdf5, ".zarr": _zarr, ".npy": _npy}[path.suffix]
        place = _whole_folder if path.suffix == ".zarr" else whole
        with whole(side) as truth, place(path) as temporary:
            self._require_space(path)
            with (
                create(temporary, self) as put,
                Progress(f"generate {path}", self.rows, shown=progress) as bar,
            ):
                for start, x, y in _slabs(ordered_map(self.block, self.blocks()), self.slab_rows(path)):
                    put(start, x, y)
                    bar(len(x))
            truth.write_text(json.dumps(self.truth(), indent=1) + "\n", encoding="utf-8")

    def check(self, path: Path) -> None:
        """Raise `UsageError` if the suffix of `path` is not known or does not go with the options."""
        if path.suffix not in _COMPRESSION:
            raise UsageError(f"{path}: the suffix tells the format, and it can be {', '.join(_COMPRESSION)}")
        possible = ("none", *_COMPRESSION[path.suffix])
        if self.compression not in possible:
            raise UsageError(f"{path}: compression {self.compression!r} is not for this format; {_either(possible)} is")
        if path.suffix == ".npy" and self.chunk_rows:
            raise UsageError(f"{path}: a .npy file has no chunks; leave chunk_rows out")

    def truth(self) -> dict[str, Any]:
        """Return what is known of the rows: names (the target last), options, true coefficients."""
        about = self.model_dump(include={"kind", "rows", "seed", "correlation", "dtype"})
        noise = 1.0 if self.noise is None and self.kind == "linear" else self.noise
        return {
            "columns": [*self.names, TARGET],
            "target": TARGET,
            **about,
            "noise": noise,
            "intercept": self.intercept,
            "coef": self.coef.tolist(),
        }

    def nbytes(self) -> int:
        """Return the bytes of all numbers, uncompressed."""
        return self.rows * (self.columns + 1) * np.dtype(self.dtype).itemsize

    def chunks(self, path: Path) -> int | None:
        """Return the rows of a storage chunk, or None for a file without chunks."""
        chunked = path.suffix == ".zarr" or self.chunk_rows or self.compression != "none"
        if not chunked:
            return None
        row_bytes = self.columns * np.dtype(self.dtype).itemsize
        about = 1 << max(0, (_CHUNK_BYTES[path.suffix] // row_bytes).bit_length() - 1)
        return min(self.chunk_rows or about, self.rows)

    def slab_rows(self, path: Path) -> int:
        """Return how many rows are written at a time: a multiple of the storage chunk, near a block."""
        chunk = self.chunks(path)
        return self.block_rows if chunk is None else chunk * max(1, self.block_rows // chunk)

    def _require_space(self, path: Path) -> None:
        free = shutil.disk_usage(path.parent).free
        if self.compression == "none" and self.nbytes() > free:
            raise OSError(errno.ENOSPC, f"it needs {self.nbytes() / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free")


def generate(
    out: str | os.PathLike[str],
    *,
    rows: int,
    columns: int,
    kind: Literal["linear", "logistic"] = "linear",
    seed: int = 0,
    noise: float | None = None,
    correlation: float = 0.0,
    dtype: Literal["float64", "float32", "float16"] = "float64",
    chunk_rows: int | None = None,
    compression: Literal["none", "gzip", "lzf", "zstd"] = "none",
    force: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Write a file of made-up rows and return the truth about them, which is also written to ``<out>.json``.

    HDF5 and Zarr hold the features in dataset ``X`` and the target in ``y``; a .npy file has the target as its last
    column. The same seed gives the same numbers in every format. See `Generate` for the options.

    Raises
    ------
    UsageError
        An option is wrong, or the file exists and `force` is false.
    DataError
        The file cannot be written: disk full, no permission. Nothing is left behind.
    """
    options = {k: v for k, v in locals().items() if k not in ("out", "force", "progress")}
    spec = validated(Generate, options)
    spec.write(out, force=force, progress=progress)
    return spec.truth()


def truth_path(path: Path) -> Path:
    """Return where the truth about the rows in `path` is."""
    return path.with_name(path.name + ".json")


def _slabs(
    blocks: Iterable[tuple[NDArray[Any], NDArray[Any]]], rows: int
) -> Iterator[tuple[int, NDArray[Any], NDArray[Any]]]:
    """Cut and join blocks so that every piece but the last has `rows` rows; yields the first row number, X and y."""
    start, held = 0, 0
    waiting: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for x, y in blocks:
        while len(x):
            take = rows - held
            waiting.append((x[:take], y[:take]))
            held += len(waiting[-1][0])
            x, y = x[take:], y[take:]
            if held == rows:
                yield start, *_joined(waiting)
                start, held, waiting = start + held, 0, []
    if waiting:
        yield start, *_joined(waiting)


def _joined(pieces: list[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[NDArray[Any], NDArray[Any]]:
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate([x for x, _ in pieces]), np.concatenate([y for _, y in pieces])


@contextmanager
def _npy(path: Path, spec: Generate) -> Iterator[Put]:
    with path.open("wb") as file:
        header = {"descr": np.dtype(spec.dtype).str, "fortran_order": False, "shape": (spec.rows, spec.columns + 1)}
        np.lib.format.write_array_header_1_0(file, header)

        def put(start: int, x: NDArray[Any], y: NDArray[Any]) -> None:
            file.write(np.column_stack([x, y]).data)

        yield put


@contextmanager
def _hdf5(path: Path, spec: Generate) -> Iterator[Put]:
    import h5py

    chunk = spec.chunks(path)
    filters = {} if spec.compression == "none" else {"compression": spec.compression, "shuffle": True}
    try:
        with h5py.File(path, "w") as file:
            x = file.create_dataset(
                "X", (spec.rows, spec.columns), spec.dtype, chunks=chunk and (chunk, spec.columns), **filters
            )
            y = file.create_dataset("y", (spec.rows,), spec.dtype, chunks=chunk and (chunk,), **filters)
            # As one text, because a list of thousands of names does not fit an attribute.
            file.attrs["columns"] = x.attrs["columns"] = json.dumps(spec.names)

            def put(start: int, rows: NDArray[Any], target: NDArray[Any]) -> None:
                x[start : start + len(rows)] = rows
                y[start : start + len(rows)] = target

            yield put
    except (OSError, RuntimeError) as error:  # the library's messages are a paragraph each
        reasons = (code for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if os.strerror(code) in str(error))
        code = next(reasons, getattr(error, "errno", None) or errno.EIO)
        raise OSError(code, os.strerror(code)) from error


@contextmanager
def _zarr(path: Path, spec: Generate) -> Iterator[Put]:
    import zarr
    from zarr.codecs import GzipCodec, ZstdCodec

    chunk = spec.chunks(path) or 1
    codec = {"none": None, "gzip": GzipCodec(level=5), "zstd": ZstdCodec(level=3)}[spec.compression]
    group = zarr.open_group(path, mode="w")
    group.attrs["columns"] = list(spec.names)

    def create(name: str, *shape: int) -> Any:
        return group.create_array(
            name,
            shape=shape,
            chunks=(chunk, *shape[1:]),
            dtype=spec.dtype,
            compressors=codec,
            config={"write_empty_chunks": True},  # a chunk that is not there cannot be told from one that is lost
        )

    x, y = create("X", spec.rows, spec.columns), create(TARGET, spec.rows)
    x.attrs["columns"] = list(spec.names)

    def put(start: int, rows: NDArray[Any], target: NDArray[Any]) -> None:
        x[start : start + len(rows)] = rows
        y[start : start + len(rows)] = target

    yield put


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """Do for a folder what `whole` does for a file."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent))
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


def _require_replaceable(path: Path) -> None:
    """Refuse to replace what this program cannot have written."""
    if path.suffix == ".zarr":
        if path.exists() and not any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray")):
            raise UsageError(f"{path}: is there already and is not a Zarr store; move it away or choose another name")
    elif path.is_dir():
        raise UsageError(f"{path}: is a folder; choose another name")


def _either(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
