"""HDF5 chunks read and decoded past the library.

The library does one thing at a time in the whole process, so that threads would wait for each other's decompression.
Where the chunks lie in the file is noted when it is opened; they are read and decoded in the thread that wants them.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import CorruptError
from streamreg.sources.checks import native, span
from streamreg.sources.hdf5.filters import undo
from streamreg.sources.stored.buffers import Pool
from streamreg.sources.stored.chunked import PIECE, ChunkReader, Layout
from streamreg.sources.stored.files import file_fingerprint, unbuffered
from streamreg.sources.stored.table import Read, Stored


@dataclass(slots=True)
class ChunksStored(Stored):
    """A chunked dataset whose chunks lie at known places of a file.

    Attributes
    ----------
    path : str
    label : str
    full : tuple of int
        Shape of the dataset; `shape` is that of what is read.
    stored : dtype
        Type and byte order in the file.
    chunks : tuple of int
        Shape of a chunk; those at the far edges are stored whole as well.
    filters : tuple of str
        Filters of the dataset, in the order in which they were applied.
    table : ndarray of shape (rows of chunks, columns of chunks, 3)
        Offset, size in the file, and a bit for each filter that was skipped.
    seen : str
        Fingerprint of the file when it was opened.
    first : int
        Row of chunks that the table starts with.
    bands : tuple of int, optional
        Which chunks of a row of chunks are read; default: all.
    """

    path: str
    label: str
    full: tuple[int, ...]
    stored: np.dtype[Any]
    chunks: tuple[int, ...]
    filters: tuple[str, ...]
    table: NDArray[np.int64]
    seen: str
    first: int = 0
    bands: tuple[int, ...] | None = None
    pool: Pool = field(default_factory=Pool, compare=False, repr=False)
    piece_bytes: int = field(init=False, default=PIECE)
    layout: Layout = field(init=False)
    shape: tuple[int, ...] = field(init=False)
    chunk_rows: int = field(init=False)
    dtype: np.dtype[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.dtype = native(self.stored)
        self.layout = Layout(self.full, self.chunks, self.stored, bool(self.filters), bands=self.bands)
        self.shape, self.chunk_rows = self.layout.read_shape, self.layout.unit

    def narrowed(self, columns: Sequence[int]) -> "tuple[ChunksStored, Sequence[int]]":
        """Return what reads those chunks alone that hold some columns."""
        layout, held = self.layout.narrowed(columns)
        return replace(self, bands=layout.bands), held

    def part(self, start: int, stop: int) -> "ChunksStored":
        """Return the same with the places of rows `start` to `stop` alone."""
        first, last = start // self.chunks[0], -(-stop // self.chunks[0])
        return replace(self, table=self.table[first - self.first : last - self.first], first=first)

    def fingerprint(self) -> str:
        """Return size, time of last change and identity of the file, and where the data begin."""
        return f"{file_fingerprint(self.path)} +{self.table.flat[0]}"

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Return what reads rows into one buffer, in the machine's byte order."""
        with self.pool, unbuffered(self.path, self.seen) as file:
            yield _Reader(self, file).read


class _Reader(ChunkReader):
    def __init__(self, array: ChunksStored, file: FileIO) -> None:
        super().__init__(array.layout, array.pool)
        self.array, self.file = array, file

    def put(self, at: tuple[int, ...], out: NDArray[Any], skip: int) -> None:
        row = at[0] - self.array.first
        offset, size, self.skipped = (int(v) for v in self.array.table[row, at[1] if len(at) > 1 else 0])
        try:
            self.load(self.file, offset, size, out, skip)
        except (OSError, ValueError, RuntimeError) as error:
            rows = span("row", at[0] * self.chunks[0], min((at[0] + 1) * self.chunks[0], self.shape[0]))
            raise CorruptError(
                f"{self.array.label}: the chunk of {rows} cannot be read ({error}); "
                "the file is damaged or cut short, copy or write it again"
            ) from error

    def decode(self, raw: NDArray[np.uint8], out: NDArray[np.uint8]) -> Any:
        """Undo the filters, except those whose bit is set in the chunk's mask."""
        applied = tuple(name for i, name in enumerate(self.array.filters) if not self.skipped >> i & 1)
        return undo(applied, raw, out, self.stored.itemsize, self.pool)


def chunk_table(dataset: Any, filters: tuple[str, ...]) -> NDArray[np.int64] | None:
    """Return where the chunks of a dataset of one or two dimensions lie.

    None if one was never written, if the library does not say where, or if those that the edge cuts off may have been
    stored unfiltered, an option of the format that can be told by their length alone.
    """
    grid = [-(-n // step) for n, step in zip(dataset.shape, dataset.chunks, strict=True)]
    if dataset.id.get_num_chunks() < math.prod(grid) or not dataset.size or not truly_listed(dataset):
        return None
    table = chunk_places(dataset).reshape(grid[0], -1, 3)
    cut = np.zeros(table.shape[:2], bool)
    cut[-1] = dataset.shape[0] % dataset.chunks[0]
    cut[:, -1] |= bool(len(grid) > 1 and dataset.shape[1] % dataset.chunks[1])
    whole = (table[..., 1] == np.prod(dataset.chunks) * dataset.dtype.itemsize) & (table[..., 2] == 0)
    unclear = bool(filters) and cut.any() and whole[cut].all()
    return None if unclear or (table[..., 0] < 0).any() else table


def chunk_places(dataset: Any) -> NDArray[np.int64]:
    """Return offset, size and skipped filters of each chunk by its coordinates; -1 if it was never written."""
    grid = tuple(-(-n // step) for n, step in zip(dataset.shape, dataset.chunks, strict=True))
    places = np.full((*grid, 3), -1, np.int64)

    def note(chunk: Any) -> None:
        at = tuple(start // step for start, step in zip(chunk.chunk_offset, dataset.chunks, strict=True))
        if all(map(int.__lt__, at, grid)):  # in a damaged file, it may be anywhere
            places[at] = chunk.byte_offset, chunk.size, chunk.filter_mask

    dataset.id.chunk_iter(note)
    return places


def truly_listed(dataset: Any) -> bool:
    """Return whether the library says of each chunk where it belongs.

    If the one axis that may grow without limit is not the first one, the index of the chunks may have that axis first,
    and then the library lists them with wrong corners.
    """
    growing = [axis for axis, limit in enumerate(dataset.maxshape) if limit is None]
    return len(growing) != 1 or growing == [0]
