"""A folder for one writer at a time. The lock is the system's, and ends with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamreg.errors import DataError, UsageError

NAME = ".streamreg-lock"


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a folder, which is made if need be, until the block ends.

    Raises
    ------
    UsageError
        Another process holds it.
    DataError
        The folder cannot be made, or nothing can be written there.
    """
    path = Path(folder) / NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while (handle := _taken(path)) is None:
            pass
    except OSError as error:
        raise DataError(f"{folder}: cannot be written to ({error.strerror}); choose another folder") from error
    if handle < 0:
        raise UsageError(f"{folder}: another run writes to this folder now; wait for its end, or choose another folder")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _taken(path: Path) -> int | None:
    """Return the open file of a lock; -1 if another one holds it, None if that one has just let it go."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return -1
    except OSError:
        os.close(handle)
        raise
    with suppress(OSError):
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    os.close(handle)  # it was removed between the two
    return None
