"""Files of a table: one, a list, those of a pattern or a folder, here or at a URL; and what names of folders say."""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from streamreg.errors import ChangedError, DataError, MissingExtra, NotFound, UsageError
from streamreg.sources.stored.files import file_fingerprint, require, require_file

_MISSING = "__HIVE_DEFAULT_PARTITION__"
_PAIR = re.compile(r"([^=]+)=(.*)")


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was when it was opened.

    Attributes
    ----------
    path : str
        Or URL.
    seen : str
        Its fingerprint.
    constants : tuple of (str, str or None)
        Columns that the names of its folders give a value: ``year=2020``.
    """

    path: str
    seen: str
    constants: tuple[tuple[str, Any], ...] = ()

    def require_unchanged(self) -> None:
        """Raise `ChangedError` unless the file is as it was."""
        if fingerprint(self.path) != self.seen:
            raise ChangedError(f"{self.path}: was written to since it was opened; open it anew when the writer is done")


def is_url(path: str) -> bool:
    """Return whether a path names another file system than that of this machine."""
    return "://" in path


def fingerprint(path: str) -> str:
    """Return size, time of last change and identity of a file, or what its file system has of that."""
    if not is_url(path):
        return file_fingerprint(path)
    system, inner = _system(path)
    try:
        known = system.info(inner)
    except Exception as error:  # of any file system
        raise ChangedError(f"{path}: is gone since it was opened ({error}); open it anew") from error
    marks = {
        k: str(known[k]) for k in ("size", "mtime", "created", "LastModified", "ETag", "etag", "updated") if k in known
    }
    return f"url {path} {marks}"


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """Return what pyarrow reads a file by: its path, or an open file of another file system."""
    if not is_url(path):
        yield path
        return
    system, inner = _system(path)
    with system.open(inner, "rb") as file:
        yield file


def listed(data: str | os.PathLike[str] | Sequence[Any], suffixes: Sequence[str]) -> list[File]:
    """Return the files of a table in a fixed order: as listed, or by name.

    Parameters
    ----------
    data : path, URL, or a sequence of these
        Folders are searched, and those of a name like ``year=2020`` make a column. In a pattern ``*`` stands for any
        part of a name, ``**`` for any folders.
    suffixes : sequence of str
        Of the files of a folder that belong to the table.

    Raises
    ------
    NotFound
        No such file, or no file of that kind in a folder.
    DataError
        Folders differ in the columns that their names make.
    """
    given = [os.fspath(p) for p in ([data] if isinstance(data, str | os.PathLike) else data)]
    if not given:
        raise UsageError("the list of files is empty; name one at least")
    found = [(path, _hive(path, root)) for one in given for path, root in _expanded(one, suffixes)]
    path, times = Counter(path for path, _ in found).most_common(1)[0]
    if times > 1:
        raise UsageError(f"{path}: is listed twice, and its rows would count twice; list it once")
    names = found[0][1].keys()
    for path, pairs in found:
        if pairs.keys() != names:
            raise DataError(
                f"{path}: its folders say {_said(pairs)}, and those of {found[0][0]} say {_said(found[0][1])}; "
                "all must name the same columns"
            )
    whole = {
        n
        for n in names
        if all(v is None or re.fullmatch(r"-?(0|[1-9]\d{0,17})", v) for _, p in found if (v := p[n], 1))
    }
    return [
        File(
            path, fingerprint(path), tuple((n, int(v) if n in whole and v is not None else v) for n, v in pairs.items())
        )
        for path, pairs in found
    ]


def _said(pairs: dict[str, str | None]) -> str:
    return "/".join(f"{name}={value}" for name, value in pairs.items()) or "nothing"


def _hive(path: str, root: str) -> dict[str, str | None]:
    """Return what the names of folders below `root` say: ``year=2020``."""
    folders = path[len(root) :].replace(os.sep, "/").split("/")[:-1]
    pairs = [match.groups() for folder in folders if (match := _PAIR.fullmatch(folder))]
    return {unquote(name): None if value == _MISSING else unquote(value) for name, value in pairs}


def _expanded(path: str, suffixes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the files that a path stands for, and the folder below which their folders' names count."""
    if is_url(path):
        yield from _remote(path, suffixes)
    elif not os.path.exists(path) and glob.has_magic(path):  # noqa: PTH110
        names = sorted(glob.glob(path, recursive=True))  # noqa: PTH207
        if not names:
            raise NotFound(f"{path}: no file matches; check the pattern")
        root = _fixed(path)
        yield from ((str(require_file(Path(name))), root) for name in names if not Path(name).is_dir())
    elif Path(path).is_dir():
        names = [
            str(f) for f in sorted(Path(path).rglob("*")) if f.is_file() and _counts(f.relative_to(path), suffixes)
        ]
        if not names:
            raise NotFound(f"{path}: no file in this folder ends in {', '.join(suffixes)}; check the path")
        yield from ((name, path) for name in names)
    else:
        require(Path(path))
        yield str(require_file(Path(path))), str(Path(path).parent)


def _fixed(pattern: str) -> str:
    """Return the folder of a pattern that is the same for all names that match."""
    match = glob.magic_check.search(pattern)  # type: ignore[attr-defined]
    return pattern[: match.start()].rpartition("/")[0]


def _counts(path: Path, suffixes: Sequence[str]) -> bool:
    """Return whether a file of a folder belongs to the table; hidden ones, and those of writers, do not."""
    return path.name.lower().endswith(tuple(suffixes)) and not any(part.startswith((".", "_")) for part in path.parts)


def _remote(path: str, suffixes: Sequence[str]) -> Iterator[tuple[str, str]]:
    system, inner = _system(path)
    scheme = path.partition("://")[0]
    try:
        if glob.has_magic(inner):
            names = sorted(system.glob(inner))
            root = _fixed(inner)
        elif system.isdir(inner):
            names = [n for n in sorted(system.find(inner)) if _counts(Path(n[len(inner) :].lstrip("/")), suffixes)]
            root = inner
        else:
            names, root = [inner] if system.exists(inner) else [], inner.rpartition("/")[0]
    except Exception as error:  # of any file system
        raise DataError(f"{path}: cannot be looked for ({type(error).__name__}: {error}); check the address") from error
    if not names:
        raise NotFound(f"{path}: no such file; check the address")
    full = {name: f"{scheme}://{name.removeprefix(f'{scheme}://')}" for name in (*names, root)}
    yield from ((full[name], full[root]) for name in names)


def _system(path: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra(f"{path}: files at other places need fsspec; pip install fsspec") from error
    try:
        system, inner = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{path}: this kind of address cannot be read ({error})") from error
    return system, inner
