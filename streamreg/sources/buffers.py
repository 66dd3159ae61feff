"""Buffers that are used again, and what fills them from a file or from deflated bytes.

Large blocks allocated and freed in many threads leave holes in the heap, so that memory grows with the number of them.
"""

from io import FileIO
from threading import RLock
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

_STEP = 2**17
_DAMAGED: Any = isal_zlib.error  # its stub calls this class an instance


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


def inflate(raw: NDArray[np.uint8], out: NDArray[np.uint8], wbits: int = isal_zlib.MAX_WBITS) -> int:
    """Fill `out` with what `raw` was deflated from, a little at a time; return how many bytes follow in `raw`.

    Raises
    ------
    ValueError
        The bytes are damaged, or become more or fewer than `out` holds.
    """
    stream, at = isal_zlib.decompressobj(wbits), 0
    for i in range(0, len(raw), _STEP):
        try:
            piece = stream.decompress(raw.data[i : i + _STEP], len(out) - at + 1)
        except _DAMAGED as error:
            raise ValueError(str(error)) from error
        if len(piece) > len(out) - at:
            raise ValueError(f"more than the {len(out):,} bytes expected")
        out[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
    if at < len(out) or not stream.eof:
        raise ValueError(f"{at:,} bytes where {len(out):,} are expected, or an end that is missing")
    return len(stream.unused_data)
