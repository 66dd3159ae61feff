"""Bytes of a file, decompressed if need be, read forward in ranges."""

import bz2
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import CorruptError
from streamreg.sources.stored.files import unbuffered

Read = Callable[[int, int], NDArray[np.uint8]]
"""Return bytes `a` to `b`, or up to the end of the text; valid until the next call, which may not go back."""

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


def compression_of(path: str) -> str:
    """Return the suffix that tells how a file is compressed, or ''."""
    suffix = Path(path).suffix.lower()
    return suffix if suffix in COMPRESSED else ""


@contextmanager
def reading(path: str, seen: str) -> Iterator[Read]:
    """Open a file that had the fingerprint `seen`, and return what reads ranges of its text.

    Raises
    ------
    ChangedError
        It is gone, or was written to before or while it was read.
    CorruptError
        It cannot be decompressed, or ends too early.
    """
    kind = compression_of(path)
    with unbuffered(path, seen) as file:
        stream = _decompressing(file, kind) if kind else file
        buffer, at = np.empty(0, np.uint8), 0

        def fill(size: int) -> int:
            nonlocal at
            view, got = buffer[:size].data, 0
            while got < size:
                try:
                    here = stream.readinto(view[got:])
                except Exception as error:  # each library has its own
                    raise CorruptError(
                        f"{path}: cannot be read past byte {at:,} of its text "
                        f"({error or type(error).__name__}); the file "
                        "is damaged or cut short, copy or write it again"
                    ) from error
                if not here:
                    break
                got += here
                at += here
            return got

        def read(a: int, b: int) -> NDArray[np.uint8]:
            nonlocal buffer, at
            if len(buffer) < min(b - a, 2**30):
                buffer = np.empty(min(b - a, 2**30), np.uint8)
            if not kind:
                at = file.seek(a)
            while at < a:
                if not fill(min(a - at, len(buffer))):
                    break
            if b - a > len(buffer):
                buffer = np.empty(b - a, np.uint8)
            return buffer[: fill(b - a)]

        yield read


def _decompressing(file: FileIO, kind: str) -> Any:
    if kind == ".gz":
        from isal import igzip

        return igzip.IGzipFile(fileobj=file, mode="rb")  # type: ignore[no-untyped-call]
    if kind == ".zst":
        import pyarrow as pa

        return _Readable(pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd"))
    return bz2.BZ2File(file) if kind == ".bz2" else lzma.LZMAFile(file)


class _Readable:
    """A stream of Arrow that reads into a buffer."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readinto(self, view: memoryview) -> int:
        got = self._stream.read(len(view))
        view[: len(got)] = got
        return len(got)
