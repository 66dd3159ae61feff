"""Zarr stores in a folder, formats 2 and 3.

The library reads a chunk that is not on disk as its fill value. Here the chunk files are looked for when the store is
opened, and again after each read, so that lost data never become zeros.
"""

import hashlib
import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from streamreg.errors import ChangedError, CorruptError, DataError, MissingExtra
from streamreg.sources.checks import check_numeric, native, span
from streamreg.sources.files import require
from streamreg.sources.hierarchy import choose_matrix, choose_vectors, named_columns
from streamreg.sources.table import Read, Stored, TableSource

_ABSENT = 2**64 - 1
"""Offset that the index of a shard gives for a chunk it does not hold."""


@dataclass(slots=True)
class ZarrStored(Stored):
    """An array of a store.

    Attributes
    ----------
    root : str
        Folder of the store.
    name : str
        Path of the array in the store; empty if the store is one array.
    chunks : tuple of int
        Shape of the chunks that are decoded as a whole.
    files : tuple of int
        Shape of what one file holds: a chunk, or a shard of chunks.
    fill : bool
        Whether absent chunks may be read as the fill value.
    """

    root: str
    name: str
    label: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    files: tuple[int, ...]
    fill: bool
    chunk_rows: int = field(init=False)
    piece_bytes: int = 2**22

    def __post_init__(self) -> None:
        self.chunk_rows = self.chunks[0] if self.chunks else 1

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Return what reads rows, checking afterwards that their chunks were there."""
        array = _node(self.root, self.name)
        if not isinstance(array, zarr.Array) or array.shape != self.shape:
            raise ChangedError(f"{self.label}: is not what it was when it was opened; open it anew")

        def read(a: int, b: int) -> NDArray[Any]:
            try:
                rows = np.asarray(array[a:b])
            except Exception as error:
                raise self._undecodable(array, a, b, error) from error
            if not self.fill:
                self.require_chunks(array, a, b)
            return rows.astype(self.dtype, copy=False)

        yield read

    def require_chunks(self, array: Any, a: int, b: int) -> None:
        """Raise `CorruptError` if a chunk of rows `a` to `b` is not on disk."""
        for coordinates in self._files(a, b):
            path = self._file(array, coordinates)
            corner = [c * step for c, step in zip(coordinates, self.files, strict=True)]
            missing = corner if not path.is_file() else self._missing_inside(array, path, corner, a, b)
            if missing is not None:
                size = self.files if not path.is_file() else self.chunks
                raise CorruptError(
                    f"{self.label}: no chunk for {self._place(missing, size)} in {path}: lost, or never written. "
                    "Chunks of nothing but the fill value are left out by default when a store is written; if so, "
                    "say missing_chunks='fill', else copy or write the store again (write_empty_chunks=True keeps all)"
                )

    def fingerprint(self) -> str:
        """Return a hash of the names, sizes and times of last change of all files of the array."""
        digest = hashlib.sha256()
        top = Path(self.root, self.name)
        for folder, folders, files in os.walk(top):
            folders.sort()
            for name in sorted(files):
                s = Path(folder, name).stat()
                digest.update(f"{os.path.relpath(folder, top)}/{name} {s.st_size} {s.st_mtime_ns}\n".encode())
        return f"zarr {self.name} {digest.hexdigest()[:32]}"

    def _files(self, a: int, b: int) -> Iterator[tuple[int, ...]]:
        """Return the coordinates of the files that rows `a` to `b` are in."""
        rows = range(a // self.files[0], -(-b // self.files[0]))
        others = (range(-(-n // step)) for n, step in zip(self.shape[1:], self.files[1:], strict=True))
        return itertools.product(rows, *others)

    def _file(self, array: Any, coordinates: tuple[int, ...]) -> Path:
        return Path(self.root, self.name, array.metadata.encode_chunk_key(coordinates))

    def _place(self, corner: Sequence[int], size: Sequence[int]) -> str:
        limits = zip(("row", "column"), corner, size, self.shape, strict=False)
        return ", ".join(span(what, at, min(at + step, end)) for what, at, step, end in limits)

    def _missing_inside(self, array: Any, path: Path, corner: Sequence[int], a: int, b: int) -> list[int] | None:
        """Return the corner of a chunk within rows `a` to `b` that a shard does not hold, or None."""
        index = _index_location(array)
        if index is None:
            return None
        (end, checksum), grid = index, [whole // part for whole, part in zip(self.files, self.chunks, strict=True)]
        length = 16 * math.prod(grid)
        with path.open("rb") as file:
            if end == "end":
                file.seek(max(0, path.stat().st_size - length - checksum))
            data = file.read(length)
        if len(data) < length:
            raise CorruptError(
                f"{self.label}: {self._place(corner, self.files)}: the shard file {path} is cut short; "
                "copy or write the store again"
            )
        offsets = np.frombuffer(data, "<u8")[::2].reshape(grid)
        for inner in np.argwhere(offsets == _ABSENT):
            at = [c + int(i) * step for c, i, step in zip(corner, inner, self.chunks, strict=True)]
            if at[0] < b and at[0] + self.chunks[0] > a and all(c < n for c, n in zip(at, self.shape, strict=True)):
                return at
        return None

    def _undecodable(self, array: Any, a: int, b: int, error: Exception) -> CorruptError:
        """Say which file cannot be decoded, by reading what each of them holds alone."""
        for coordinates in self._files(a, b):
            corner = [c * step for c, step in zip(coordinates, self.files, strict=True)]
            region = tuple(slice(at, at + step) for at, step in zip(corner, self.files, strict=True))
            try:
                array[region]
            except Exception as reason:
                return CorruptError(
                    f"{self.label}: {self._place(corner, self.files)} cannot be decoded ({reason}); the chunk file "
                    f"{self._file(array, coordinates)} is damaged or cut short, copy or write the store again"
                )
        return CorruptError(
            f"{self.label}: {span('row', a, b)} cannot be read ({error}); copy or write the store again"
        )


def open_zarr(
    path: Path,
    x: str | None = None,
    target: str | None = None,
    weights: str | None = None,
    columns: Sequence[str] | None = None,
    missing_chunks: str = "error",
) -> TableSource:
    """Return a source over arrays of a Zarr store.

    Parameters
    ----------
    path : Path
        Folder of one array, or of a group of them.
    x : str, optional
        Path of the matrix in a group; if not given, the only matrix, or the one called X or x.
    target, weights : str, optional
        What is not a column of the matrix is the path of an array with one number per row.
    columns : sequence of str, optional
        If not given, the attribute ``columns`` of the matrix, or of the group.
    missing_chunks : {"error", "fill"}
        Whether chunks that are not on disk are refused, or read as the fill value.

    Raises
    ------
    NotFound
        No such store or array.
    CorruptError
        Metadata or chunks are damaged or not there. Within a shard this is seen if its index has the usual encoding.
    MissingExtra
        A codec is not installed.
    DataError
        Not a matrix of numbers, or lengths differ.
    """
    where = str(path)
    if not require(path).is_dir():
        raise DataError(f"{where}: is a file, and a Zarr store is a folder; unpack it first")
    root = _node(where, "")
    if root is None:
        raise DataError(f"{where}: is a folder without Zarr metadata (zarr.json, .zarray, .zgroup); check the path")

    def has(name: str) -> bool:
        return isinstance(root, zarr.Group) and isinstance(_node(where, name), zarr.Array)

    def listing() -> Mapping[str, tuple[int, ...]]:
        if isinstance(root, zarr.Array):
            return {}
        return {name: node.shape for name, node in root.members(max_depth=None) if isinstance(node, zarr.Array)}

    def stored(name: str) -> ZarrStored:
        return _stored(where, name, missing_chunks == "fill")

    chosen = "" if isinstance(root, zarr.Array) and x is None else choose_matrix(where, x, has, listing)
    matrix = stored(chosen)
    attribute = _node(where, chosen).attrs.get("columns", root.attrs.get("columns"))
    names = columns if columns is not None else named_columns(matrix.label, attribute)
    table = TableSource(where, matrix, columns=names)
    paths = choose_vectors(where, (target, weights), table.schema.names, has, listing)
    return TableSource(where, matrix, {name: stored(p) for name, p in paths.items()}, names) if paths else table


def _node(root: str, name: str) -> Any:
    """Return the array or group of that path in a store, or None if there is none."""
    if ".." in Path(name).parts:
        return None
    try:
        return zarr.open(root, mode="r", path=name.strip("/") or None)
    except FileNotFoundError:
        return None
    except Exception as error:
        if type(error).__name__ == "UnknownCodecError":
            raise MissingExtra(f"{root}: {name!r} needs a codec that is not installed ({error}); install it") from error
        raise CorruptError(
            f"{root}: the metadata of {name or 'the store'!r} cannot be read ({error}); copy or write the store again"
        ) from error


def _stored(where: str, name: str, fill: bool) -> ZarrStored:
    """Return an array of a store as an array to be read, if all of its chunks are there."""
    label = f"{where}: array {name!r}" if name else where
    array = _node(where, name)
    check_numeric(label, array.dtype)
    files = array.shards or array.chunks
    stored = ZarrStored(where, name, label, array.shape, native(array.dtype), array.chunks, files, fill)
    if not fill and array.shape:
        stored.require_chunks(array, 0, array.shape[0])
    return stored


def _index_location(array: Any) -> tuple[str, int] | None:
    """Return at which end of a shard its index lies and the bytes of its checksum; None if it is encoded unusually."""
    codecs = array.metadata.to_dict().get("codecs", ())
    if len(codecs) != 1 or codecs[0]["name"] != "sharding_indexed":
        return None
    settings = codecs[0]["configuration"]
    index = [(c["name"], (c.get("configuration") or {}).get("endian", "little")) for c in settings["index_codecs"]]
    if index[:1] != [("bytes", "little")] or index[1:] not in ([], [("crc32c", "little")]):
        return None
    return settings.get("index_location", "end"), 4 * (len(index) - 1)
