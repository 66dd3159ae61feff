"""A folder for one writer at a time. The lock is the system's, and ends with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
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
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written to ({error.strerror}); choose another folder") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"{folder}: another run writes to this folder now; wait for its end, or choose another folder"
            ) from None
        yield
        path.unlink(missing_ok=True)
    finally:
        os.close(handle)
