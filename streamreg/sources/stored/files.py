"""Looking at files: is it there, has it changed."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from streamreg.errors import ChangedError, DataError, NotFound, nearest

_ASKED = 2**20  # bytes that are looked for in the cache at their beginning


def require_file(path: Path) -> Path:
    """Return `path` if it is a file.

    Raises
    ------
    NotFound
        There is no such file; names the nearest one in its folder.
    DataError
        It is a folder, a socket or the like, or may not be read.
    """
    require(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "neither a file nor a folder"
        raise DataError(f"{path}: is {what}, and a {path.suffix} path must be one file; pass a file")
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    return path


def require(path: Path) -> Path:
    """Return `path` if it exists, else raise `NotFound` with the nearest name in its folder."""
    try:
        if path.exists():
            return path
        if path.is_symlink():
            raise NotFound(f"{path}: is a link that leads nowhere; make it anew")
        folder = path.parent
        if not folder.is_dir():
            raise NotFound(f"{path}: no such file, and no folder {folder}; check the path")
        same_kind = sorted(f.name for f in folder.iterdir() if f.suffix == path.suffix)
    except OSError as error:
        raise NotFound(
            f"{path}: cannot be looked for ({error.strerror}); check the path and its permissions"
        ) from error
    raise NotFound(f"{path}: no such file{nearest(path.name, same_kind) or '; check the path'}")


@contextmanager
def unbuffered(path: str, seen: str) -> Iterator[FileIO]:
    """Open a file that had the fingerprint `seen`, for reading without a buffer of its own.

    Raises
    ------
    ChangedError
        It is gone, or was written to before or while it was read.
    """
    try:
        file = FileIO(path, "r")
    except OSError as error:
        raise ChangedError(f"{path}: could be opened before and now cannot ({error.strerror}); open it anew") from error
    with file:
        require_unchanged(path, seen)
        yield file
        require_unchanged(path, seen)


def prefetch(path: str, offsets: Sequence[int], length: int) -> None:
    """Have the system read `length` bytes from each offset into its cache, and do not wait for them.

    What is there already is left alone, and so is all where a system or a file has no such thing.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    with suppress(OSError), FileIO(path, "r") as file:
        for offset in offsets:
            for start in range(offset, offset + length, _ASKED):
                if not _cached(file, start):
                    os.posix_fadvise(file.fileno(), start, min(_ASKED, offset + length - start), os.POSIX_FADV_WILLNEED)


def _cached(file: FileIO, offset: int) -> bool:
    """Return whether a byte can be read without waiting: it is in the system's cache, or beyond the end of the file."""
    try:
        os.preadv(file.fileno(), [bytearray(1)], offset, getattr(os, "RWF_NOWAIT", 0))
    except OSError:  # it cannot, or the file system does not tell
        return False
    return True


def require_unchanged(path: str, seen: str) -> None:
    """Raise `ChangedError` unless the file has the fingerprint `seen`."""
    if file_fingerprint(path) != seen:
        raise ChangedError(f"{path}: was written to since it was opened; open it anew when the writer is done")


def file_fingerprint(path: str | Path) -> str:
    """Return size, time of last change and identity of a file."""
    try:
        s = Path(path).stat()
    except OSError as error:
        raise ChangedError(f"{path}: is gone since it was opened ({error.strerror}); open it anew") from error
    return f"file {s.st_size} {s.st_mtime_ns} {s.st_dev:x}:{s.st_ino:x}"
