"""What files hold, by their names, and what opens them."""

import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamreg.errors import MissingExtra, UsageError
from streamreg.sources.base import Source

SUFFIXES = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".zarr": "zarr",
    ".npy": "npy",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".parq": "parquet",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".arrows": "arrow",
    ".npz": "npz",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
}
TABLES = {
    "parquet": "streamreg.sources.arrow.open:open_parquet",
    "arrow": "streamreg.sources.arrow.open:open_ipc",
    "npz": "streamreg.sources.npz:open_npz",
    "csv": "streamreg.sources.csv.open:open_with",
}
"""Formats of tables of columns, and what opens a file, a folder, a pattern or a list of files of each."""

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
CONVERTED = (".xlsx", ".mat", ".sas7bdat", ".dta")
DATABASES = ("duckdb:", "sqlite:", "postgres:")
_ADDRESS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/+")
STREAMS = ("LazyFrame", "DuckDBPyRelation")


def address(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return a path as it was written where it names a database, or an address, whose slashes a `Path` loses."""
    text = os.fspath(path)
    if text.startswith(DATABASES):
        return text
    return _ADDRESS.sub(r"\1://", text) if _ADDRESS.match(text) else path


def within(folder: Path, path: Path) -> Path:
    """Return a path of a file in a folder, also of a database; what is absolute, or an address, stays."""
    text = str(path)
    if text.startswith(DATABASES):
        kind, _, rest = text.partition(":")
        return Path(f"{kind}:{os.path.normpath(folder / rest)}") if rest and kind != "postgres" else path
    return path if _ADDRESS.match(text) else Path(os.path.normpath(folder / path))


def load(place: str) -> Callable[..., Source]:
    """Return a function by its place, which is imported now."""
    module, _, name = place.partition(":")
    try:
        found: Callable[..., Source] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name not in ("pyarrow", "duckdb"):
            raise
        raise MissingExtra(f"such tables are read with {error.name}; pip install 'streamreg[tables]'") from error
    return found


def kind_of(data: Any, format: str | None = None) -> str | None:
    """Return the format of a file, or of the files of a folder, a pattern or a list; None if it is not known."""
    known = sorted({*SUFFIXES.values()})
    if format is not None:
        if format not in known:
            raise UsageError(f"format is {format!r}; it can be {', '.join(known)}")
        return format
    path = Path(data[0] if isinstance(data, list | tuple) else data)
    kind = _suffix_kind(path)
    if kind is None and os.path.isdir(path):  # noqa: PTH112  # as it says so of names that are too long, too
        below = (
            file for file in path.rglob("*") if not any(n.startswith((".", "_")) for n in file.relative_to(path).parts)
        )
        inside = sorted({held for file in below if (held := _suffix_kind(file)) in TABLES and file.suffix != ".txt"})
        if len(inside) > 1:
            raise UsageError(f"{path}: has files of several formats, {' and '.join(inside)}; say which with format=")
        return inside[0] if inside else None
    return kind


def _suffix_kind(path: Path) -> str | None:
    """Return the format that the name of a file tells."""
    while path.suffix.lower() in _COMPRESSED:
        path = path.with_suffix("")
    return SUFFIXES.get(path.suffix.lower())
