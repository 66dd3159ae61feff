"""Files that Arrow reads, as one source."""

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

from streamreg.sources.arrow.fields import Fields
from streamreg.sources.arrow.files import File, fingerprint, listed
from streamreg.sources.arrow.lane import Stream
from streamreg.sources.arrow.source import ArrowSource

Described = Callable[[File], tuple[Any, set[str], Sequence[Stream]]]
"""Return the schema of a file, the integers and booleans that may be missing, and its rows; reads none of them."""


def open_parquet(data: Any) -> ArrowSource:
    """Return a source over Parquet files: a path, a folder, a pattern, a URL or a list of these.

    Raises
    ------
    NotFound
        No such file.
    CorruptError
        A file cannot be read.
    DataError
        There are no rows.
    """
    from streamreg.sources.arrow.parquet import described

    return open_files(data, (".parquet", ".pq"), described)


def open_ipc(data: Any) -> ArrowSource:
    """Return a source over Arrow files, which Feather's are too; see `open_parquet`."""
    from streamreg.sources.arrow.ipc import described

    return open_files(data, (".feather", ".arrow", ".ipc", ".arrows"), described)


def open_files(data: Any, suffixes: Sequence[str], described: Described) -> ArrowSource:
    """Return a source over files, each of which `described` tells of."""
    files = listed(data, suffixes)
    fields, streams = Fields(), list[Stream]()
    for file in files:
        schema, nullable, found = described(file)
        fields.add(file.path, schema, nullable)
        streams += found
    fields.add_constants([dict(file.constants) for file in files])
    paths = [file.path for file in files]
    label = (
        os.fspath(data)
        if isinstance(data, str | os.PathLike)
        else paths[0] + f" and {len(paths) - 1} more" * (len(paths) > 1)
    )
    source = ArrowSource(label, streams, fields, lambda: _seen(paths))
    source.paths = tuple(paths)
    return source


def _seen(paths: Sequence[str]) -> str:
    """Return a text that changes when one of the files does."""
    if len(paths) == 1:
        return fingerprint(paths[0])
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path} {fingerprint(path)}\n".encode())
    return f"{len(paths)} files {total.hexdigest()[:24]}"
