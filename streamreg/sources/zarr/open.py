"""Zarr stores in a folder, formats 2 and 3.

The library says what a store holds. Chunks are read past it, unless they are stored in an unusual way. That none is
missing is looked at when the store is opened, and again as it is read.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from streamreg.errors import ChangedError, CorruptError, DataError, MissingExtra
from streamreg.sources.checks import check_numeric, native, require_some, span
from streamreg.sources.stored.coding import decoded
from streamreg.sources.stored.datasets import choose_matrix, choose_vectors, named_columns
from streamreg.sources.stored.files import require
from streamreg.sources.stored.table import Read, Stored, TableSource
from streamreg.sources.zarr.chunks import chunk_stored
from streamreg.sources.zarr.grid import Grid, grid_of

_LOCK = threading.Lock()
"""Held while the library reads: it spreads one read over threads of its own, and memory is that of one read."""


@dataclass(slots=True)
class LibraryStored(Stored):
    """An array that the library reads, because it is stored in an unusual way.

    Attributes
    ----------
    root : str
        Folder of the store.
    name : str
        Path of the array in the store; empty if the store is one array.
    grid : Grid
        Where its chunks lie.
    fill : bool
        Whether absent chunks may be read as the fill value.
    """

    root: str
    name: str
    grid: Grid
    dtype: np.dtype[Any]
    fill: bool
    label: str = field(init=False)
    shape: tuple[int, ...] = field(init=False)
    chunk_rows: int = field(init=False)
    piece_bytes: int = field(init=False, default=2**22)

    def __post_init__(self) -> None:
        self.label, self.shape = self.grid.label, self.grid.shape
        self.chunk_rows = self.grid.chunks[0] if self.grid.chunks else 1

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Return what reads rows, checking afterwards that their chunks were there."""
        array = _node(self.root, self.name)
        if not isinstance(array, zarr.Array) or array.shape != self.shape:
            raise ChangedError(f"{self.label}: is not what it was when it was opened; open it anew")

        def read(a: int, b: int) -> NDArray[Any]:
            try:
                with _LOCK:
                    rows = np.asarray(array[a:b])
            except Exception as error:
                raise self._undecodable(array, a, b, error) from error
            if not self.fill:
                self.grid.require(a, b)
            return rows.astype(self.dtype, copy=False)

        yield read

    def fingerprint(self) -> str:
        """Return a hash of the names, sizes and times of last change of all files of the array."""
        return self.grid.fingerprint()

    def _undecodable(self, array: Any, a: int, b: int, error: Exception) -> CorruptError:
        """Say which file cannot be decoded, by reading what each of them holds alone."""
        for at in self.grid.within(a, b, self.grid.files):
            try:
                array[tuple(slice(c * step, (c + 1) * step) for c, step in zip(at, self.grid.files, strict=True))]
            except Exception as reason:
                return self.grid.damaged(at, self.grid.files, self.grid.path(at), reason)
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
    missing_chunks : {"error", "fill", "fault"}
        Whether chunks that are not on disk are refused, or read as the fill value, or found when they are read.

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
        arrays = {name: node.shape for name, node in root.members(max_depth=None) if isinstance(node, zarr.Array)}
        return {name: shape for name, shape in arrays.items() if has(name)}  # consolidated metadata may be outdated

    def stored(name: str) -> Stored:
        array = _stored(where, name, missing_chunks)
        node, parent = _node(where, name), _attributes(_node(where, str(Path(name).parent) if "/" in name else ""))
        fill = None if missing_chunks == "fill" else _defined_fill(node)
        return decoded(array, _attributes(node), fill, parent.get("encoding-type", ""))

    chosen = "" if isinstance(root, zarr.Array) and x is None else choose_matrix(where, x, has, listing)
    matrix = stored(chosen)
    attribute = _attribute(_node(where, chosen), _attribute(root))
    names = columns if columns is not None else named_columns(matrix.label, attribute)
    table = TableSource(where, matrix, columns=names)
    paths = choose_vectors(where, (target, weights), table.schema.names, has, listing)
    return TableSource(where, matrix, {name: stored(p) for name, p in paths.items()}, names) if paths else table


def _node(root: str, name: str) -> Any:
    """Return the array or group of that path in a store, or None if there is none."""
    if ".." in Path(name).parts:
        return None
    try:
        return zarr.open(Path(root), mode="r", path=name.strip("/") or None)  # a text could be taken for an address
    except FileNotFoundError:
        return None
    except Exception as error:
        if type(error).__name__ == "UnknownCodecError":
            raise MissingExtra(f"{root}: {name!r} needs a codec that is not installed ({error}); install it") from error
        raise CorruptError(
            f"{root}: the metadata of {name or 'the store'!r} cannot be read ({error}); copy or write the store again"
        ) from error


def _attribute(node: Any, default: Any = None) -> Any:
    """Return the attribute ``columns`` of an array or group, if it has attributes at all."""
    return _attributes(node).get("columns", default)


def _attributes(node: Any) -> Mapping[str, Any]:
    attributes = None if node is None else node.metadata.attributes
    return attributes if isinstance(attributes, Mapping) else {}


def _defined_fill(node: Any) -> Any:
    """Return what rows hold that were never written, where it is a mark and not plain zero.

    In format 2, xarray writes ``_FillValue`` as the fill value alone; ``_ARRAY_DIMENSIONS`` tells its arrays.
    """
    fill = node.metadata.fill_value
    if fill is None or node.dtype.kind not in "fiu":
        return None
    marked = node.metadata.zarr_format == 2 and "_ARRAY_DIMENSIONS" in _attributes(node)
    return fill.item() if hasattr(fill, "item") and (fill or marked) else fill if fill or marked else None


def _stored(where: str, name: str, missing_chunks: str) -> Stored:
    """Return an array of a store as an array to be read, if all of its chunks are there or may be missing."""
    label = f"{where}: array {name!r}" if name else where
    array = _node(where, name)
    check_numeric(label, array.dtype)
    if 0 in array.chunks:
        raise CorruptError(f"{label}: has chunks of shape {array.chunks}; copy or write the store again")
    grid = grid_of(array, label, Path(where, name))
    if missing_chunks == "error" and array.shape:
        grid.require(0, array.shape[0])
    elif array.shape:
        require_some(label, array.shape, array.dtype.itemsize, *grid.stored())
    fill = missing_chunks == "fill"
    return chunk_stored(array, grid, fill) or LibraryStored(where, name, grid, native(array.dtype), fill)
