"""Arrow files, which Feather files (version 2) are too, and streams of Arrow in a file: batch by batch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from streamreg.errors import CorruptError
from streamreg.sources.arrow.files import File, opened
from streamreg.sources.arrow.lane import Stream

_MAGIC = b"ARROW1"
_LANE_ROWS = 2**17


@dataclass(slots=True)
class Batches(Stream):
    """Record batches `first` to `last` of a file; all of a stream."""

    file: File
    first: int
    last: int
    rows: int
    label: str
    constants: dict[str, Any]
    longest: int = 0

    def at_once(self, rows: int) -> int:
        """Return the rows of the longest batch, as each is decoded whole."""
        return self.longest

    def batches(self, columns: Sequence[str], rows: int, start: int) -> Iterator[Any]:
        """Yield all rows; other columns are not decoded."""
        self.file.require_unchanged()
        with _reading(self.file.path, columns) as reader:
            if isinstance(reader, pa.ipc.RecordBatchStreamReader):
                yield from reader
            else:
                yield from (reader.get_batch(k) for k in range(self.first, self.last))
        self.file.require_unchanged()


@contextmanager
def _reading(path: str, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Open a file; batches have these columns, or one at least."""
    with opened(path) as where, pa.OSFile(where) if isinstance(where, str) else pa.PythonFile(where, "r") as file:
        random = file.read(len(_MAGIC)) == _MAGIC
        file.seek(0)
        start = pa.ipc.open_file if random else pa.ipc.open_stream
        reader = start(file)
        if columns is not None:
            schema = reader.schema
            narrow = [k for k, field in enumerate(schema) if pa.types.is_primitive(field.type)] or [0]
            wanted = [k for k, name in enumerate(schema.names) if name in set(columns)] or narrow[:1]
            file.seek(0)
            reader = start(
                file, options=pa.ipc.IpcReadOptions(included_fields=wanted if schema.names else [], use_threads=False)
            )
        yield reader


def described(file: File) -> tuple[Any, set[str], list[Batches]]:
    """Return the schema of a file, the integers and booleans that may be missing, and its batches in runs.

    To know how many rows there are, one column is read.

    Raises
    ------
    CorruptError
        It cannot be read.
    """
    try:
        with _reading(file.path, ()) as reader, _reading(file.path) as whole:
            schema = whole.schema
            stream = isinstance(reader, pa.ipc.RecordBatchStreamReader)
            batches = reader if stream else (reader.get_batch(k) for k in range(reader.num_record_batches))
            counts = [len(batch) for batch in batches]
    except (pa.ArrowException, OSError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise CorruptError(
            f"{file.path}: not a readable Arrow file ({first[:200]}); it is damaged, cut short or a Feather file of "
            "version 1, write it again with pyarrow.feather.write_feather"
        ) from error
    nullable = {f.name for f in schema if f.nullable}
    runs: list[Batches] = []
    first_batch = rows = 0
    for k, count in enumerate(counts):
        rows += count
        if k == len(counts) - 1 or (rows >= _LANE_ROWS and not stream):
            label = file.path if stream else f"{file.path}, batches {first_batch}-{k}"
            longest = max(counts[first_batch : k + 1])
            runs += [Batches(file, first_batch, k + 1, rows, label, dict(file.constants), longest)] if rows else []
            first_batch, rows = k + 1, 0
    return schema, nullable, runs
