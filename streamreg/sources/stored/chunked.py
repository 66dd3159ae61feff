"""Rows put together from the chunks of a storage, in one buffer."""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import FileIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamreg.sources.checks import native
from streamreg.sources.stored.buffers import Pool, read_exactly

PIECE = 2**20
"""About how many bytes of rows to read at once."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How an array is cut into chunks, all of which are stored whole.

    Attributes
    ----------
    shape, chunks : tuple of int
        Shape of the array and of a chunk.
    stored : dtype
        Type and byte order in the storage.
    coded : bool
        Whether chunks are compressed, or changed in another way.
    order : {"C", "F"}
        Whether the rows or the columns of a chunk are stored one after the other.
    bands : tuple of int, optional
        Which chunks of a row of chunks are read, of a matrix; default: all.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    stored: np.dtype[Any]
    coded: bool
    order: Literal["C", "F"] = "C"
    bands: tuple[int, ...] | None = None

    def narrowed(self, columns: Sequence[int]) -> "tuple[Layout, list[int]]":
        """Return the layout that reads these columns of a matrix, at least, and which columns those are."""
        width, step = self.shape[1], self.chunks[1]
        bands = tuple(sorted({column // step for column in columns}))
        held = [column for band in bands for column in range(band * step, min((band + 1) * step, width))]
        return replace(self, bands=bands), held

    @property
    def read_shape(self) -> tuple[int, ...]:
        """Shape of what is read."""
        if self.bands is None:
            return self.shape
        width, step = self.shape[1], self.chunks[1]
        return self.shape[0], sum(min((band + 1) * step, width) - band * step for band in self.bands)

    @property
    def plain(self) -> bool:
        """Whether any rows of a chunk can be read as they are."""
        return not self.coded and self.order == "C" and self.chunks[1:] == self.shape[1:]

    @property
    def unit(self) -> int:
        """Rows that are read together: those of a chunk, or 1 where parts of a large one can be read."""
        return 1 if not self.chunks or (self.plain and self.chunk_bytes > PIECE) else self.chunks[0]

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk, decoded."""
        return math.prod(self.chunks) * self.stored.itemsize

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of what is read, decoded."""
        return math.prod(self.read_shape[1:]) * self.stored.itemsize


class ChunkReader(ABC):
    """What one thread reads an array with; buffers come from `pool`."""

    def __init__(self, layout: Layout, pool: Pool) -> None:
        self.layout, self.pool = layout, pool
        self.shape, self.chunks, self.stored = layout.read_shape, layout.chunks, layout.stored
        self._rows = np.empty((0, *self.shape[1:]), layout.stored)

    def read(self, a: int, b: int) -> NDArray[Any]:
        """Return rows `a` to `b` in the machine's byte order; they are overwritten by the next call."""
        unit = self.layout.unit
        start, stop = a // unit * unit, -(-b // unit) * unit
        if len(self._rows) < stop - start:
            held = self.pool.take((stop - start) * self.layout.row_bytes)
            self._rows = held.view(self.stored).reshape(-1, *self.shape[1:])
        rows = self._rows[: stop - start]
        bands = range(a // self.chunks[0], -(-b // self.chunks[0]))
        others = [range(-(-n // step)) for n, step in zip(self.shape[1:], self.chunks[1:], strict=True)]
        for at in itertools.product(bands, *others):
            top = at[0] * self.chunks[0]
            first, last = max(start, top), min(stop, top + self.chunks[0])
            beside = (slice(c * step, (c + 1) * step) for c, step in zip(at[1:], self.chunks[1:], strict=True))
            stored = at if self.layout.bands is None else (at[0], self.layout.bands[at[1]])
            self.put(stored, rows[(slice(first - start, last - start), *beside)], first - top)
        asked = rows[a - start : b - start]
        plain = native(self.stored)
        return asked if self.stored == plain else asked.byteswap(inplace=True).view(plain)

    @abstractmethod
    def put(self, at: tuple[int, ...], out: NDArray[Any], skip: int) -> None:
        """Put the chunk with coordinates `at` into `out`, from its row `skip` on, as far as the array reaches."""

    @abstractmethod
    def decode(self, raw: NDArray[np.uint8], out: NDArray[np.uint8]) -> Any:
        """Undo what was done to a chunk; return `out`, filled with it, or other bytes, which may be too few or many."""

    def load(self, file: FileIO, offset: int, size: int, out: NDArray[Any], skip: int) -> None:
        """Read a chunk stored in `size` bytes at `offset` into `out`, as `put` does.

        Raises
        ------
        OSError, ValueError
            It cannot be read, or is not as long as a chunk. Each codec raises errors of its own.
        """
        expected = self.layout.chunk_bytes
        if self.layout.plain:
            self._require_size(size)
            read_exactly(file, offset + skip * self.layout.row_bytes, out.reshape(-1).view(np.uint8))
            return
        usual = expected + expected // 64 + 2**16  # pages that are not touched take no memory
        raw = self.pool.take(usual)[:size] if size <= usual else np.empty(size, np.uint8)
        read_exactly(file, offset, raw)
        direct = out.shape == self.chunks and out.flags.c_contiguous and self.layout.order == "C"
        flat = out.reshape(-1).view(np.uint8) if direct else self.pool.take(expected)
        whole = np.frombuffer(self.decode(raw, flat), np.uint8)
        self._require_size(len(whole))
        if not direct:
            chunk = whole.view(self.stored).reshape(self.chunks, order=self.layout.order)
            out[...] = chunk[tuple(slice(n) for n in out.shape)]
        elif not np.may_share_memory(whole, flat):
            flat[:] = whole

    def _require_size(self, size: int) -> None:
        if size != self.layout.chunk_bytes:
            raise ValueError(f"{size:,} bytes where {self.layout.chunk_bytes:,} are expected")
