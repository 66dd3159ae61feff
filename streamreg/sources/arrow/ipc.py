"""Arrow files and Feather (version 2): record batches that are mapped from the file, and decoded one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from streamreg.errors import CorruptError
from streamreg.sources.arrow import files as found
from streamreg.sources.arrow.table import Fields, chunk_of, joined, schema_of, usable, with_folders
from streamreg.sources.base import BLOCK, Partition, Source
from streamreg.sources.chunk import Chunk
from streamreg.sources.stored.files import file_fingerprint, require_unchanged

SUFFIXES = (".feather", ".arrow", ".ipc")

_ROWS = 16384  # of a chunk


@dataclass(slots=True)
class IpcPartition(Partition):
    """One record batch of a file."""

    start: int
    stop: int
    path: str
    seen: str
    number: int
    dtypes: dict[str, np.dtype[Any]]
    folders: dict[str, str | None]

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order, about 16,000 at a time.

        Raises
        ------
        ChangedError
            The file was written to, or is gone.
        CorruptError
            The batch cannot be decoded.
        """
        require_unchanged(self.path, self.seen)
        size = max(1, _ROWS // rows) * rows
        wanted = [name for name in self.dtypes if name not in self.folders]
        with _opened(Path(self.path)) as reader:
            try:
                batch = reader.get_batch(self.number).select(wanted)
                batch.validate()
            except (OSError, pa.ArrowException) as error:
                first = str(error).splitlines()[0]
                raise CorruptError(
                    f"{self.path}, batch {self.number}: cannot be decoded ({first}); write it again"
                ) from error
            for at in range(0, self.stop - self.start, size):
                part = batch.slice(at, size)
                yield chunk_of(part, self.start + at, self.dtypes, self.folders, self.path)
        require_unchanged(self.path, self.seen)


class IpcSource(Source):
    """A table in one Arrow file or several.

    Parameters
    ----------
    label : str
    files : sequence of Path
        In the order of their rows.
    """

    def __init__(self, label: str, files: Sequence[Path]) -> None:
        self.label = label
        self._folders = [dict(parts) for parts in found.parts_of(files, label)]
        self._files, fields = [], []
        for file in files:
            seen = file_fingerprint(file)
            with _opened(file) as reader:
                try:
                    rows = [reader.get_batch(k).num_rows for k in range(reader.num_record_batches)]
                except (OSError, pa.ArrowException) as error:
                    raise CorruptError(f"{file}: not a readable Arrow file ({error}); write it again") from error
                fields.append(Fields.of(reader.schema))
            self._files.append((str(file), seen, rows))
        whole = with_folders(joined(fields, files), found.parts_of(files, label))
        self.schema = schema_of(whole, sum(sum(rows) for *_, rows in self._files))

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        """Return one partition for each record batch."""
        dtypes = usable(self.schema, columns)
        out: list[Partition] = []
        start = 0
        for (path, seen, rows), folders in zip(self._files, self._folders, strict=True):
            for number, count in enumerate(rows):
                if count:
                    out.append(IpcPartition(start, start + count, path, seen, number, dtypes, folders))
                start += count
        return out

    def fingerprint(self) -> str:
        """Return those of the files."""
        return "arrow " + " ".join(file_fingerprint(path) for path, *_ in self._files)


def open_ipc(given: Any) -> IpcSource:
    """Return a source over an Arrow file, a list of files, a pattern, or a folder.

    Raises
    ------
    NotFound
        There is no such file.
    CorruptError
        It is no Arrow file, or damaged.
    DataError
        The files are not of one kind.
    """
    paths = found.find(given, SUFFIXES)
    return IpcSource(str(given) if len(paths) > 1 else str(paths[0]), paths)


def _opened(file: Path) -> Any:
    try:
        return pa.ipc.open_file(pa.memory_map(str(file)))
    except (OSError, pa.ArrowException) as error:
        first = str(error).splitlines()[0]
        raise CorruptError(
            f"{file}: not a readable Arrow file ({first}); streams and Feather version 1 are not read: write it with "
            "pyarrow.feather.write_feather"
        ) from error
