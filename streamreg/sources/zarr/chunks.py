"""Zarr chunks read and decoded in the thread that wants them.

The library's own way, through an event loop and a pool of threads, costs more than decoding and leaves memory behind in
every thread of the pool. Here a chunk file is read into one buffer and decoded into another, with the codecs that the
library uses. Arrays stored in a less usual way are left to the library.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import FileIO
from typing import Any, Literal

import numcodecs
import numpy as np
from numpy.typing import NDArray

from streamreg.sources.checks import native
from streamreg.sources.stored.buffers import Pool
from streamreg.sources.stored.chunked import PIECE, ChunkReader, Layout
from streamreg.sources.stored.codecs import decode_into
from streamreg.sources.stored.files import file_fingerprint, require_unchanged
from streamreg.sources.stored.table import Read, Stored
from streamreg.sources.zarr.grid import ABSENT, Grid

CODECS = {"blosc", "bz2", "gzip", "lz4", "zlib", "zstd"}
"""What is decoded without knowing how it was encoded."""


@dataclass(slots=True)
class ChunkStored(Stored):
    """An array whose chunk files are read without the library.

    Attributes
    ----------
    grid : Grid
        Where the chunks lie.
    layout : Layout
        What they are.
    codecs : tuple of dict
        Configurations of the codecs, in the order in which they are undone.
    fill : number, optional
        What absent chunks are read as; refused if None.
    metadata, seen : str
        Path of the metadata, and their fingerprint when the array was opened.
    """

    grid: Grid
    layout: Layout
    codecs: tuple[dict[str, Any], ...]
    fill: Any
    metadata: str
    seen: str
    pool: Pool = field(default_factory=Pool, compare=False, repr=False)
    label: str = field(init=False)
    shape: tuple[int, ...] = field(init=False)
    dtype: np.dtype[Any] = field(init=False)
    chunk_rows: int = field(init=False)
    piece_bytes: int = field(init=False, default=PIECE)

    def __post_init__(self) -> None:
        self.label, self.dtype = self.grid.label, native(self.layout.stored)
        self.shape, self.chunk_rows = self.layout.read_shape, self.layout.unit

    def narrowed(self, columns: Sequence[int]) -> "tuple[ChunkStored, Sequence[int]]":
        """Return what reads those chunks alone that hold some columns."""
        layout, held = self.layout.narrowed(columns)
        return replace(self, layout=layout), held

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Return what reads rows into one buffer, in the machine's byte order."""
        require_unchanged(self.metadata, self.seen)
        with self.pool:
            yield _Reader(self).read
        require_unchanged(self.metadata, self.seen)

    def fingerprint(self) -> str:
        """Return a hash of the names, sizes and times of last change of all files of the array."""
        return self.grid.fingerprint()


class _Reader(ChunkReader):
    def __init__(self, array: ChunkStored) -> None:
        super().__init__(array.layout, array.pool)
        self.grid, self.fill = array.grid, array.fill
        self.codecs = [numcodecs.get_codec(dict(config)) for config in array.codecs]
        self.shard: tuple[tuple[int, ...], NDArray[np.uint64]] | None = None

    def put(self, at: tuple[int, ...], out: NDArray[Any], skip: int) -> None:
        held = tuple(c // n for c, n in zip(at, self.grid.inside, strict=True))
        path = self.grid.path(held)
        try:
            with FileIO(path) as file:
                place = self._locate(file, at, held)
                if place is not None:
                    self.load(file, *place, out, skip)
        except FileNotFoundError:
            place = None
        except Exception as error:  # each codec has its own
            raise self.grid.damaged(at, self.grid.chunks, path, error) from error
        if place is None:
            if self.fill is None:
                raise self.grid.missing(at, self.grid.chunks, path)
            out[...] = self.fill

    def _locate(self, file: FileIO, at: tuple[int, ...], held: tuple[int, ...]) -> tuple[int, int] | None:
        """Return offset and size of a chunk in its file, or None if the index of a shard says it is not there."""
        if self.grid.index is None:
            return 0, os.fstat(file.fileno()).st_size
        if self.shard is None or self.shard[0] != held:
            self.shard = held, self.grid.index.read(file, self.grid.inside)
        offset, size = self.shard[1][tuple(c % n for c, n in zip(at, self.grid.inside, strict=True))]
        return None if offset == ABSENT else (int(offset), int(size))

    def decode(self, raw: NDArray[np.uint8], out: NDArray[np.uint8]) -> Any:
        for codec in self.codecs[:-1]:
            raw = np.frombuffer(codec.decode(raw), np.uint8)
        return decode_into(self.codecs[-1], raw, out) if self.codecs else raw


def chunk_stored(array: Any, grid: Grid, fill: bool) -> ChunkStored | None:
    """Return an array of the Zarr library as one that is read without it, or None if it is stored in an unusual way."""
    metadata = array.metadata.to_dict()
    old = metadata["zarr_format"] == 2
    found = _version_2(metadata, array.dtype) if old else _version_3(metadata["codecs"], grid, array.dtype)
    if found is None:
        return None
    stored, order, codecs = found
    try:
        for config in codecs:
            numcodecs.get_codec(dict(config))
    except (ValueError, TypeError):
        return None
    value = (0 if array.fill_value is None else array.fill_value) if fill else None
    path = f"{grid.folder}/{'.zarray' if old else 'zarr.json'}"
    layout = Layout(grid.shape, grid.chunks, np.dtype(stored.str), bool(codecs), order)
    return ChunkStored(grid, layout, codecs, value, path, file_fingerprint(path))


Recipe = tuple[np.dtype[Any], Literal["C", "F"], tuple[dict[str, Any], ...]]


def _version_2(metadata: dict[str, Any], dtype: np.dtype[Any]) -> Recipe:
    """Return type, order and codecs: what was applied last is undone first."""
    chain = [metadata["compressor"], *reversed(metadata["filters"] or ())]
    return dtype, metadata["order"], tuple(config for config in chain if config)


def _version_3(codecs: Sequence[Any], grid: Grid, dtype: np.dtype[Any]) -> Recipe | None:
    if codecs[0]["name"] == "sharding_indexed":
        if grid.index is None:
            return None
        codecs = codecs[0]["configuration"]["codecs"]
    if codecs[0]["name"] != "bytes":
        return None
    undone: list[dict[str, Any]] = []
    for codec in reversed(codecs[1:]):
        name = codec["name"].removeprefix("numcodecs.")
        if codec["name"] == "crc32c":
            undone.append({"id": "crc32c", "location": "end"})
        elif name in CODECS:
            undone.append({"id": name})
        else:
            return None
    little = (codecs[0].get("configuration") or {}).get("endian", "little") == "little"
    return dtype.newbyteorder("<" if little else ">"), "C", tuple(undone)
