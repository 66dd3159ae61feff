"""Where the chunks of a Zarr array lie: each in a file of its own, or several in a shard, whose index says where.

The format has a chunk that is not there stand for its fill value. Here the files are looked for, so that lost data
never become zeros.
"""

import hashlib
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
from numpy.typing import NDArray

from streamreg.errors import ChangedError, CorruptError
from streamreg.sources.checks import span
from streamreg.sources.stored.buffers import read_exactly

ABSENT = 2**64 - 1
"""Offset that the index of a shard gives for a chunk it does not hold."""


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """How the index of a shard is stored: at which end, and whether its checksum follows it."""

    at_end: bool
    checksum: bool

    def read(self, file: FileIO, grid: Sequence[int]) -> NDArray[np.uint64]:
        """Return offset and size of each chunk of a shard: an array of shape (*grid, 2)."""
        raw = np.empty(16 * math.prod(grid) + 4 * self.checksum, np.uint8)
        size = os.fstat(file.fileno()).st_size
        if size < len(raw):
            raise ValueError(f"{size:,} bytes, and the index of the shard alone has {len(raw):,}")
        read_exactly(file, size - len(raw) if self.at_end else 0, raw)
        if self.checksum:
            raw = numcodecs.get_codec({"id": "crc32c", "location": "end"}).decode(raw)
        return np.frombuffer(raw, "<u8").reshape(*grid, 2)


@dataclass(frozen=True, slots=True)
class Grid:
    """The chunks of an array, by their coordinates; small and picklable.

    Attributes
    ----------
    label : str
        How error messages call the array.
    folder : str
        Folder of the array.
    key : callable
        Name of a file by its coordinates.
    shape : tuple of int
        Shape of the array.
    chunks : tuple of int
        Shape of the chunks that are decoded as a whole.
    files : tuple of int
        Shape of what one file holds: a chunk, or a shard of chunks.
    index : ShardIndex, optional
        None if a file holds one chunk, or if the index of a shard is stored in an unusual way.
    """

    label: str
    folder: str
    key: Callable[[tuple[int, ...]], str]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    files: tuple[int, ...]
    index: ShardIndex | None

    def within(self, a: int, b: int, step: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Return the coordinates of those chunks or files, of shape `step`, that rows `a` to `b` are in."""
        others = [range(-(-n // s)) for n, s in zip(self.shape[1:], step[1:], strict=True)]
        return ((row, *at) for row in range(a // step[0], -(-b // step[0])) for at in itertools.product(*others))

    def path(self, coordinates: tuple[int, ...]) -> str:
        """Return the path of a file."""
        return f"{self.folder}/{self.key(coordinates)}"

    @property
    def inside(self) -> tuple[int, ...]:
        """How many chunks a file holds along each axis."""
        return tuple(whole // part for whole, part in zip(self.files, self.chunks, strict=True))

    def require(self, a: int, b: int) -> None:
        """Raise `CorruptError` if a chunk of rows `a` to `b` is not on disk."""
        for coordinates in self.within(a, b, self.files):
            path = self.path(coordinates)
            try:
                there = Path(path).is_file()
            except OSError as error:
                raise self.damaged(coordinates, self.files, path, error) from error
            if not there:
                raise self.missing(coordinates, self.files, path)
            if self.index is None:
                continue
            with FileIO(path) as file:
                try:
                    offsets = self.index.read(file, self.inside)[..., 0]
                except (OSError, ValueError, RuntimeError) as error:
                    raise self.damaged(coordinates, self.files, path, error) from error
            for inner in np.argwhere(offsets == ABSENT):
                at = tuple(c * n + int(i) for c, n, i in zip(coordinates, self.inside, inner, strict=True))
                if self._overlaps(at, a, b):
                    raise self.missing(at, self.chunks, path)

    def stored(self) -> tuple[int, int]:
        """Return how many files of chunks there are, at most, and how many the shape of the array claims."""
        expected = math.prod(-(-n // step) for n, step in zip(self.shape, self.files, strict=True))
        there = sum(len(files) for _, _, files in os.walk(self.folder))
        return min(there, expected), expected

    def missing(self, coordinates: Sequence[int], size: Sequence[int], path: str) -> CorruptError:
        """Say that a chunk or shard is not there."""
        return CorruptError(
            f"{self.label}: no chunk for {self._place(coordinates, size)} in {path}: lost, or never written. "
            "Chunks of nothing but the fill value are left out by default when a store is written; if so, "
            "say missing_chunks='fill', else copy or write the store again (write_empty_chunks=True keeps all)"
        )

    def damaged(self, coordinates: Sequence[int], size: Sequence[int], path: str, reason: Exception) -> CorruptError:
        """Say that a chunk or shard is there and cannot be decoded."""
        return CorruptError(
            f"{self.label}: {self._place(coordinates, size)} cannot be decoded ({reason}); the chunk file {path} "
            "is damaged or cut short, copy or write the store again"
        )

    def fingerprint(self) -> str:
        """Return a hash of the names, sizes and times of last change of all files of the array."""
        digest = hashlib.sha256()
        for folder, folders, files in os.walk(self.folder):
            folders.sort()
            for name in sorted(files):
                try:
                    s = Path(folder, name).stat()
                except OSError as error:
                    raise ChangedError(f"{self.label}: {name} is gone while it is read; open it anew") from error
                digest.update(f"{os.path.relpath(folder, self.folder)}/{name} {s.st_size} {s.st_mtime_ns}\n".encode())
        return f"zarr {digest.hexdigest()[:32]}"

    def _overlaps(self, coordinates: Sequence[int], a: int, b: int) -> bool:
        corner = [c * step for c, step in zip(coordinates, self.chunks, strict=True)]
        return corner[0] < b and corner[0] + self.chunks[0] > a and all(map(int.__lt__, corner, self.shape))

    def _place(self, coordinates: Sequence[int], size: Sequence[int]) -> str:
        limits = zip(("row", "column"), coordinates, size, self.shape, strict=False)
        return ", ".join(span(what, c * step, min((c + 1) * step, end)) for what, c, step, end in limits)


def grid_of(array: Any, label: str, folder: Path) -> Grid:
    """Return where the chunks of an array of the Zarr library lie."""
    encoding = getattr(array.metadata, "chunk_key_encoding", None)
    key = partial(_joined, array.metadata.dimension_separator) if encoding is None else encoding.encode_chunk_key
    return Grid(label, str(folder), key, array.shape, array.chunks, array.shards or array.chunks, _shard_index(array))


def _joined(separator: str, coordinates: tuple[int, ...]) -> str:
    return separator.join(map(str, coordinates))


def _shard_index(array: Any) -> ShardIndex | None:
    codecs = array.metadata.to_dict().get("codecs", ())
    if len(codecs) != 1 or codecs[0]["name"] != "sharding_indexed":
        return None
    settings = codecs[0]["configuration"]
    stored = [(c["name"], (c.get("configuration") or {}).get("endian", "little")) for c in settings["index_codecs"]]
    if stored[:1] != [("bytes", "little")] or stored[1:] not in ([], [("crc32c", "little")]):
        return None
    return ShardIndex(settings.get("index_location", "end") == "end", len(stored) == 2)
