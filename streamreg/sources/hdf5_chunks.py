"""HDF5 chunks read and decoded past the library.

The library does one thing at a time in the whole process, so that threads would wait for each other's decompression.
Where the chunks lie in the file is noted when it is opened; what most files use, deflate and shuffle, is undone here.
"""

import itertools
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import CorruptError
from streamreg.sources.checks import native, span
from streamreg.sources.files import file_fingerprint, unbuffered
from streamreg.sources.table import Read, Stored

DEFLATE, SHUFFLE = 1, 2
"""Numbers of these filters in the format."""


@dataclass(slots=True)
class ChunksStored(Stored):
    """A chunked dataset whose chunks lie at known places of a file.

    Attributes
    ----------
    path : str
    label : str
    shape : tuple of int
    stored : dtype
        Type and byte order in the file.
    chunks : tuple of int
        Shape of a chunk; those at the far edges are stored whole as well.
    filters : tuple of int
        Filters of the dataset, in the order in which they were applied.
    table : ndarray of shape (rows of chunks, columns of chunks, 3)
        Offset, size in the file, and a bit for each filter that was skipped.
    seen : str
        Fingerprint of the file when it was opened.
    first : int
        Row of chunks that the table starts with.
    """

    path: str
    label: str
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    chunks: tuple[int, ...]
    filters: tuple[int, ...]
    table: NDArray[np.int64]
    seen: str
    first: int = 0
    piece_bytes: int = field(init=False, default=2**20)
    chunk_rows: int = field(init=False)
    dtype: np.dtype[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.chunk_rows = self.chunks[0]
        self.dtype = native(self.stored)

    def part(self, start: int, stop: int) -> "ChunksStored":
        """Return the same with the places of rows `start` to `stop` alone."""
        first, last = start // self.chunk_rows, -(-stop // self.chunk_rows)
        table = self.table[first - self.first : last - self.first]
        return ChunksStored(
            self.path, self.label, self.shape, self.stored, self.chunks, self.filters, table, self.seen, first
        )

    def fingerprint(self) -> str:
        """Return size, time of last change and identity of the file, and where the data begin."""
        return f"{file_fingerprint(self.path)} +{self.table.flat[0]}"

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Return what reads rows into one buffer, in the machine's byte order."""
        buffer = np.empty((0, *self.shape[1:]), self.dtype)
        with unbuffered(self.path, self.seen) as file:

            def read(a: int, b: int) -> NDArray[Any]:
                nonlocal buffer
                if len(buffer) < b - a:
                    buffer = np.empty((b - a, *self.shape[1:]), self.dtype)
                out = buffer[: b - a]
                bands = range(a // self.chunk_rows, -(-b // self.chunk_rows))
                for i, j in itertools.product(bands, range(self.table.shape[1])):
                    try:
                        self._read_chunk(file, i, j, out, a)
                    except (OSError, ValueError, zlib.error) as error:
                        rows = span("row", i * self.chunk_rows, min((i + 1) * self.chunk_rows, self.shape[0]))
                        raise CorruptError(
                            f"{self.label}: the chunk of {rows} cannot be read ({error}); "
                            "the file is damaged or cut short, copy or write it again"
                        ) from error
                return out

            yield read

    def _read_chunk(self, file: FileIO, i: int, j: int, out: NDArray[Any], a: int) -> None:
        """Put what chunk (i, j) holds of rows `a` and following where it belongs in `out`."""
        offset, size, skipped = (int(v) for v in self.table[i - self.first, j])
        top = i * self.chunk_rows
        first, last = max(a, top), min(a + len(out), top + self.chunk_rows)
        whole = first == top and last == top + self.chunk_rows and self.chunks[1:] == self.shape[1:]
        if whole and not self.filters and self.stored == self.dtype:
            _fill(file, offset, out[first - a : last - a].reshape(-1).view(np.uint8))
            return
        raw = np.empty(size, np.uint8)
        _fill(file, offset, raw)
        block = _decode(raw, self.filters, skipped, self.chunks, self.stored)[first - top : last - top]
        if len(self.shape) == 1:
            out[first - a : last - a] = block
        else:
            left = j * self.chunks[1]
            width = min(self.chunks[1], self.shape[1] - left)
            out[first - a : last - a, left : left + width] = block[:, :width]


def known_filters(properties: Any, itemsize: int) -> tuple[int, ...] | None:
    """Return the filters of a dataset in the order they were applied, or None if one is not known here."""
    found = []
    for i in range(properties.get_nfilters()):
        code, _, settings, _ = properties.get_filter(i)
        if code not in (DEFLATE, SHUFFLE) or (code == SHUFFLE and tuple(settings[:1]) != (itemsize,)):
            return None
        found.append(code)
    return tuple(found)


def chunk_table(dataset: Any) -> NDArray[np.int64] | None:
    """Return where the chunks of a dataset of one or two dimensions lie, or None if one was never written."""
    grid = [-(-n // step) for n, step in zip(dataset.shape, dataset.chunks, strict=True)]
    table = np.full((*grid, *[1] * (2 - len(grid)), 3), -1, np.int64)

    def note(chunk: Any) -> None:
        at = [start // step for start, step in zip(chunk.chunk_offset, dataset.chunks, strict=True)]
        table[at[0], at[1] if len(at) > 1 else 0] = chunk.byte_offset, chunk.size, chunk.filter_mask

    dataset.id.chunk_iter(note)
    return None if (table[..., 0] < 0).any() else table


def _fill(file: FileIO, offset: int, out: NDArray[np.uint8]) -> None:
    view = out.data
    file.seek(offset)
    while len(view):
        got = file.readinto(view)
        if not got:
            raise ValueError(f"the file ends {len(view):,} bytes before the chunk does")
        view = view[got:]


def _decode(
    raw: Any, filters: tuple[int, ...], skipped: int, shape: tuple[int, ...], stored: np.dtype[Any]
) -> NDArray[Any]:
    """Undo the filters, last one first, except those whose bit is set in `skipped`."""
    size = math.prod(shape) * stored.itemsize
    for i in reversed(range(len(filters))):
        if skipped >> i & 1:
            continue
        raw = zlib.decompress(raw, bufsize=size) if filters[i] == DEFLATE else _unshuffle(raw, stored.itemsize)
    if len(raw) != size:
        raise ValueError(f"{len(raw):,} bytes where {size:,} are expected")
    return np.frombuffer(raw, stored).reshape(shape)


def _unshuffle(raw: Any, itemsize: int) -> NDArray[np.uint8]:
    """Bring the bytes of each number together, which are stored first byte of all, second byte of all, ..."""
    planes = np.frombuffer(raw, np.uint8).reshape(itemsize, -1)
    out = np.empty((planes.shape[1], itemsize), np.uint8)
    for k in range(itemsize):
        out[:, k] = planes[k]
    return out.reshape(-1)
