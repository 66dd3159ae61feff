"""Write outputs whole: a reader sees the old file or the new one, never half of one."""

import os
import platform
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
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

    What it made for processes that were killed since is removed.

    Raises
    ------
    DataError
        Nothing can be made there; the message names the folder.
    """
    prefix = f".{final.stem}-{_here()}-"
    _sweep(final, prefix)
    try:
        return make(prefix=f"{prefix}{os.getpid()}-", suffix=final.suffix, dir=final.parent)
    except OSError as error:
        folder = str(final.parent.absolute())
        raise DataError(
            f"{final}: cannot be written, because nothing can be made in folder {folder!r} "
            f"({error.strerror or error}); choose another one, or change its permissions"
        ) from error


@cache
def _here() -> str:
    """Return what tells the processes of this machine, or container, from those of others."""
    names = [platform.node()]
    for place in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with suppress(OSError):
            names.append(str(Path(place).readlink()) if Path(place).is_symlink() else Path(place).read_text())
    return f"{zlib.crc32(' '.join(names).encode()):08x}"


def _sweep(final: Path, prefix: str) -> None:
    """Remove what processes of this machine left behind that were killed while they wrote."""
    with suppress(OSError):
        for left in final.parent.iterdir():
            pid = left.name.removeprefix(prefix).partition("-")[0]
            own = left.name.startswith(prefix) and left.name.endswith(final.suffix) and pid.isdecimal()
            if not own or _alive(int(pid)):
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True
