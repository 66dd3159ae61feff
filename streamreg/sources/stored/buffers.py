"""Buffers that are used again, and what fills them from a file.

Large blocks allocated and freed in many threads leave holes in the heap, so that memory grows with the number of them.
"""

from io import FileIO
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Pool:
    """Buffers for those who read an array, kept while anybody does; a context for one reader, pickled empty."""

    def __init__(self) -> None:
        self._free: dict[int, list[NDArray[np.uint8]]] = {}
        self._readers = 0
        self._lock = RLock()

    def __reduce__(self) -> tuple[type["Pool"], tuple[()]]:
        return Pool, ()

    def __enter__(self) -> "Pool":
        with self._lock:
            self._readers += 1
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                self._free.clear()

    def take(self, size: int) -> NDArray[np.uint8]:
        """Return `size` bytes of any content; they are lent anew when no array looks into them any more."""
        try:
            buffer = self._free.setdefault(size, []).pop()
        except IndexError:
            buffer = np.empty(size, np.uint8)
        return np.asarray(_Lent(buffer, self))

    def give_back(self, buffer: NDArray[np.uint8]) -> None:
        """Keep a buffer for the next one who needs as much."""
        if self._readers:
            self._free.setdefault(len(buffer), []).append(buffer)


class _Lent:
    """What the arrays that look into a buffer keep alive."""

    def __init__(self, buffer: NDArray[np.uint8], pool: Pool) -> None:
        self._buffer, self._pool = buffer, pool
        self.__array_interface__: dict[str, Any] = buffer.__array_interface__

    def __del__(self) -> None:
        self._pool.give_back(self._buffer)


def read_exactly(file: FileIO, offset: int, out: NDArray[np.uint8]) -> None:
    """Fill `out` from `offset` on; raise `ValueError` if the file ends before it is full."""
    view = out.data
    file.seek(offset)
    while len(view):
        got = file.readinto(view)
        if not got:
            raise ValueError(f"the file ends {len(view):,} bytes too early")
        view = view[got:]
