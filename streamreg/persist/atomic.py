"""Write outputs whole: a reader sees the old file or the new one, never half of one."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streamreg.errors import DataError, NotFound


@contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, which takes its place when the block ends well, and is removed otherwise.

    Raises
    ------
    NotFound
        The folder does not exist.
    DataError
        The file cannot be written (no permission, disk full); nothing is left behind.
    """
    final = Path(path)
    if not final.parent.is_dir():
        raise NotFound(f"{final}: no folder {str(final.parent)!r}; make it first")
    handle, name = beside(final, tempfile.mkstemp)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(final)
    except OSError as error:
        raise DataError(f"{final}: cannot be written ({error.strerror or error}); nothing was left behind") from error
    finally:
        temporary.unlink(missing_ok=True)


def beside(final: Path, make: Callable[..., Any]) -> Any:
    """Return what a function of `tempfile` makes in the folder of `final`, hidden, with its suffix.

    Raises
    ------
    DataError
        Nothing can be made there; the message names the folder.
    """
    try:
        return make(prefix=f".{final.stem}-", suffix=final.suffix, dir=final.parent)
    except OSError as error:
        folder = str(final.parent.absolute())
        raise DataError(
            f"{final}: cannot be written, because nothing can be made in folder {folder!r} "
            f"({error.strerror or error}); choose another one, or change its permissions"
        ) from error
