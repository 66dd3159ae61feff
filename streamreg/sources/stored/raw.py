"""Plain numbers at an offset of a file, read into one buffer that is used again and again.

No memory map: a file cut short is an error here and not a crash, and pages read do not count as memory of the process.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import CorruptError
from streamreg.sources.checks import native
from streamreg.sources.stored.files import file_fingerprint, prefetch, unbuffered
from streamreg.sources.stored.table import Read, Stored


@dataclass(slots=True)
class RawStored(Stored):
    """An array stored contiguously from byte `offset` of a file.

    Attributes
    ----------
    path : str
    label : str
    full : tuple of int
        Shape of the array; `shape` is that of what is read.
    stored : dtype
        Type and byte order in the file.
    offset : int
    seen : str
        Fingerprint of the file when it was opened.
    fortran : bool
        Whether the columns, rather than the rows, are stored one after the other.
    columns : sequence of int, optional
        Which columns are read, if they are stored one after the other; default: all.
    """

    path: str
    label: str
    full: tuple[int, ...]
    stored: np.dtype[Any]
    offset: int
    seen: str
    fortran: bool = False
    columns: Sequence[int] | None = None
    chunk_rows: int = 1
    shape: tuple[int, ...] = field(init=False)
    dtype: np.dtype[Any] = field(init=False)
    piece_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.dtype = native(self.stored)
        self.shape = self.full if self.columns is None else (self.full[0], len(self.columns))
        self.piece_bytes = 2**23 if self.fortran else 2**20

    def narrowed(self, columns: Sequence[int]) -> "tuple[RawStored, Sequence[int]]":
        """Return what reads some columns alone, where each lies in one piece; else rows are read as they lie."""
        return (replace(self, columns=columns), columns) if self.fortran else (self, range(self.shape[1]))

    def check_size(self) -> None:
        """Raise `CorruptError` if the file is too short to hold all rows."""
        size = Path(self.path).stat().st_size
        if size < self.offset + math.prod(self.full) * self.stored.itemsize:
            raise self._truncated(size)

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Return what reads rows into one buffer, in the machine's byte order."""
        width = self.row_bytes // self.stored.itemsize
        buffer = np.empty(0, self.stored)
        with unbuffered(self.path, self.seen) as file:

            def read(a: int, b: int) -> NDArray[Any]:
                nonlocal buffer
                count = (b - a) * width
                if len(buffer) < count:
                    buffer = np.empty(count, self.stored)
                out = buffer[:count]
                if self.fortran:
                    out = out.reshape(width, b - a)
                    for j, column in enumerate(range(width) if self.columns is None else self.columns):
                        self._fill(file, out[j], self.offset + (column * self.shape[0] + a) * self.stored.itemsize)
                    out = out.T
                else:
                    self._fill(file, out, self.offset + a * self.row_bytes)
                    out = out.reshape(b - a, *self.shape[1:])
                return out if self.stored == self.dtype else out.byteswap(inplace=True).view(self.dtype)

            yield read

    def prefetch(self, start: int, stop: int) -> None:
        """Have the system begin to read rows `start` to `stop` into its cache."""
        if self.fortran:
            columns = range(self.full[1]) if self.columns is None else self.columns
            offsets = [self.offset + (column * self.full[0] + start) * self.stored.itemsize for column in columns]
            prefetch(self.path, offsets, (stop - start) * self.stored.itemsize)
        else:
            prefetch(self.path, [self.offset + start * self.row_bytes], (stop - start) * self.row_bytes)

    def fingerprint(self) -> str:
        """Return size, time of last change and identity of the file."""
        return f"{file_fingerprint(self.path)} +{self.offset}"

    def _fill(self, file: FileIO, out: NDArray[Any], offset: int) -> None:
        view = out.view(np.uint8).data
        file.seek(offset)
        while len(view):
            got = file.readinto(view)
            if not got:
                raise self._truncated(file.seek(0, 2))
            view = view[got:]

    def _truncated(self, size: int) -> CorruptError:
        there = max(0, size - self.offset) // self.row_bytes
        held = f"{there:,} whole rows are there and {self.shape[0]:,} are promised"
        if self.fortran:
            there = max(0, size - self.offset) // (self.shape[0] * self.dtype.itemsize)
            held = f"{there:,} whole columns are there and {self.full[1]:,} are promised (Fortran order)"
        return CorruptError(f"{self.label}: the file is truncated: {held}; copy or write it again")
