"""The files of a table: one, a list, a pattern, or a folder whose names of folders are columns (``year=2020``)."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from streamreg.errors import DataError, NotFound, UsageError
from streamreg.sources.stored.files import require, require_file

_NULL = "__HIVE_DEFAULT_PARTITION__"

Parts = tuple[tuple[str, str | None], ...]
"""Columns that folders name, and their values in one file."""


def find(given: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], suffixes: Sequence[str]) -> list[Path]:
    """Return the files of a table, sorted by name where they were not listed one by one.

    Parameters
    ----------
    given : path, pattern such as ``"trips/*.parquet"``, folder, or list of paths
    suffixes : sequence of str
        What names of files in a folder end in.

    Raises
    ------
    NotFound
        There is no such file, or none in the folder or of the pattern.
    DataError
        A file cannot be read.
    UsageError
        The list is empty or names a file twice.
    """
    if isinstance(given, str | os.PathLike):
        return _of_one(Path(given), tuple(suffixes))
    files = [file for one in given for file in _of_one(Path(one), tuple(suffixes))]
    if not files:
        raise UsageError("the list of files is empty; name at least one")
    twice = [file for file in files if files.count(file) > 1] if len(set(files)) < len(files) else []
    if twice:
        raise UsageError(f"{twice[0]}: is listed twice, and its rows would count twice; list it once")
    return files


def _of_one(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if is_pattern(path):
        found = sorted(file for file in _root(path).glob(str(path.relative_to(path.anchor))) if file.is_file())
        if not found:
            raise NotFound(f"{path}: no file has such a name; check the pattern")
        return [require_file(file) for file in found]
    require(path)
    if not path.is_dir():
        return [require_file(path)]
    found = sorted(file for file in path.rglob("*") if file.name.endswith(suffixes) and not _hidden(file, path))
    if not found:
        raise NotFound(f"{path}: no file in this folder ends in {' or '.join(suffixes)}")
    return [require_file(file) for file in found]


def _root(path: Path) -> Path:
    return Path(path.anchor or ".")


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Return whether a path stands for the files whose names are like it."""
    return glob.has_magic(os.fspath(path)) and not Path(path).exists()


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)


def parts_of(files: Sequence[Path], label: str) -> list[Parts]:
    """Return what the names of folders say of each file: ``year=2020/month=1`` is two columns.

    Raises
    ------
    DataError
        Folders of some files name other columns than those of others.
    """
    found = [_parts(file) for file in files]
    names = [[name for name, _ in parts] for parts in found]
    for file, own in zip(files, names, strict=True):
        if own != names[0]:
            raise DataError(
                f"{label}: the folders of {file} name the columns {own or 'none'}, and those of {files[0]} name "
                f"{names[0] or 'none'}; read them apart"
            )
    return found


def _parts(file: Path) -> Parts:
    pairs = [part.partition("=") for part in file.parts[:-1]]
    return tuple((name, None if value == _NULL else unquote(value)) for name, equals, value in pairs if equals and name)
