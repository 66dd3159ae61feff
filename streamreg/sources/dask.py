"""Dask arrays: each block of rows is computed by the worker that needs it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import dask
import dask.array
from numpy.typing import NDArray

from streamreg.errors import DataError, UsageError
from streamreg.sources.arrays import TARGET, WEIGHT, given_roles
from streamreg.sources.base import BLOCK, Partition, Schema, Source
from streamreg.sources.checks import check_matrix, check_numeric, check_vector, column_names, native, span
from streamreg.sources.chunk import Chunk
from streamreg.sources.rows import array as as_array

_dask: Any = dask  # without types of its own
da = _dask.array

_NAMES = ("X", TARGET, WEIGHT)
_PARTITION_BYTES = 2**25


@dataclass
class DaskPartition(Partition):
    """Some consecutive blocks of rows of dask arrays; a pickled one carries their part of the graph only."""

    start: int
    stop: int
    arrays: tuple[Any, ...]
    names: tuple[str, ...]

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Compute one block after the other in this thread, and yield it.

        Raises
        ------
        DataError
            A block cannot be computed, or has another shape than its array said, or is not of numbers.
        """
        borders = accumulate(self.arrays[0].chunks[0], initial=self.start)
        for i, (a, b) in enumerate(pairwise(borders)):
            if a == b:
                continue
            try:
                blocks = _dask.compute(*(array.blocks[i] for array in self.arrays), scheduler="synchronous")
            except Exception as error:  # of whatever work gives the block
                raise DataError(
                    f"dask array: {span('row', a, b)} cannot be computed ({type(error).__name__}: {error}); "
                    "see the error above"
                ) from error
            labelled = zip(blocks, _NAMES, strict=False)
            x, *vectors = (_plain(v, f"dask array {name}, {span('row', a, b)}") for v, name in labelled)
            shapes = [(b - a, len(self.names)), *[(b - a,)] * len(vectors)]
            for block, name, shape in zip((x, *vectors), _NAMES, shapes, strict=False):
                if block.shape != shape and (block is x or block.shape != (*shape, 1)):
                    raise DataError(
                        f"dask array {name}, {span('row', a, b)}: the block computed has shape {block.shape}; "
                        "give the true chunks to map_blocks or from_delayed"
                    )
            yield Chunk(a, x, self.names, {n: v.reshape(-1) for n, v in zip(_NAMES[1:], vectors, strict=False)})

    def __reduce__(self) -> tuple[Any, ...]:
        return DaskPartition, (self.start, self.stop, _carried(self.arrays), self.names)


class DaskSource(Source):
    """A dask matrix, and if need be a target and weights, each dask array or array in memory.

    Parameters
    ----------
    arrays : sequence of one to three arrays
    columns : sequence of str, optional
    """

    label = "dask array"

    def __init__(self, arrays: Sequence[Any], columns: Sequence[str] | None = None) -> None:
        x, *vectors = arrays
        for array, name in zip(arrays, _NAMES, strict=False):
            if any(math.isnan(n) for n in array.shape):
                raise DataError(
                    f"dask array {name}: the number of rows is not known (shape {array.shape}); "
                    "call its compute_chunk_sizes() first"
                )
        check_matrix("dask array X", x.shape, x.dtype)
        for v, name in zip(vectors, _NAMES[1:], strict=False):
            check_vector(f"dask array {name}", name, v.shape, v.dtype, "dask array X", x.shape[0])
        if not isinstance(x, da.Array):
            raise UsageError("the target is a dask array and X is not; wrap X with dask.array.from_array")
        self._x = x.rechunk({1: -1})
        rows = self._x.chunks[0]
        self._vectors = tuple(
            v.rechunk((rows, *v.shape[1:])) if isinstance(v, da.Array) else da.from_array(v, (rows, *v.shape[1:]))
            for v in vectors
        )
        self._columns = column_names(columns, x.shape[1], "dask array X")
        beside = _NAMES[1 : len(arrays)]
        self.schema = Schema(
            (*self._columns, *beside),
            (*(native(x.dtype) for _ in self._columns), *(native(v.dtype) for v in vectors)),
            x.shape[0],
        )
        self.roles = given_roles(len(arrays))

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        """Return runs of whole blocks of rows, of about 32 MB if blocks are smaller."""
        rows = self._x.chunks[0]
        row_bytes = self._x.dtype.itemsize * self._x.shape[1]
        found: list[Partition] = []
        first = start = stop = 0
        for i, count in enumerate(rows):
            stop += count
            if (stop - start) * row_bytes >= _PARTITION_BYTES or i == len(rows) - 1:
                if stop > start:
                    parts = tuple(v.blocks[first : i + 1] for v in (self._x, *self._vectors))
                    found.append(DaskPartition(start, stop, parts, self._columns))
                first, start = i + 1, stop
        return found

    def fingerprint(self) -> str:
        """Return the names of the arrays, which dask makes from the work that gives them."""
        return "dask " + " ".join(v.name for v in (self._x, *self._vectors))


def open_dask(arrays: Sequence[Any], columns: Sequence[str] | None = None) -> DaskSource:
    """Return a source over dask arrays.

    Parameters
    ----------
    arrays : sequence of one to three arrays
        X of shape (n, p); then y of shape (n,), called ``"y"``; then weights of shape (n,), called ``"weight"``.
    columns : sequence of str, optional
        Names of the columns of X.

    Raises
    ------
    DataError
        A shape or type is not that of a table of numbers, is not known, or lengths differ.
    UsageError
        Other than one to three arrays, or a dask collection that is not an array.
    """
    if not 1 <= len(arrays) <= 3:
        raise UsageError(f"a tuple of {len(arrays)} arrays; pass X, (X, y) or (X, y, weight)")
    for array, name in zip(arrays, _NAMES, strict=False):
        if _dask.is_dask_collection(array) and not isinstance(array, da.Array):
            raise UsageError(
                f"{name} is a dask {type(array).__name__}; pass a dask array (a frame's to_dask_array(lengths=True))"
            )
    labelled = zip(arrays, _NAMES, strict=False)
    return DaskSource([a if isinstance(a, da.Array) else as_array(a, f"array {n}") for a, n in labelled], columns)


def _carried(arrays: Sequence[Any]) -> tuple[Any, ...]:
    """Return arrays with the part of their graph that they need."""
    parts = [array.__dask_graph__().cull(set(_dask.core.flatten(array.__dask_keys__()))) for array in arrays]
    if not any(type(node).__module__.partition(".")[0] == "distributed" for part in parts for node in part.values()):
        return tuple(_dask.optimize(*arrays))
    # Blocks of persisted arrays, which the cluster holds. An optimizer would leave them out: it takes them for known.
    pairs = zip(arrays, parts, strict=True)
    return tuple(da.Array(dict(part), array.name, array.chunks, meta=array._meta) for array, part in pairs)


def _plain(values: Any, label: str) -> NDArray[Any]:
    array = as_array(values, label)
    check_numeric(label, array.dtype)
    return array.astype(native(array.dtype), copy=False)
