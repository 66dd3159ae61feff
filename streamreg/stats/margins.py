"""Weighted sums of numbers that rows give, for all rows or apart for each group of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError, UsageError
from streamreg.sources.chunk import Coded, Column, missing
from streamreg.stats.base import Statistic
from streamreg.stats.tree import BlockTree

Float = NDArray[np.float64]
Group = tuple[Any, ...]
Node = dict[Group, Float]

_MOST = 10_000  # groups: each is a vector of sums


class Rows(Protocol):
    """What turns rows into sums.

    Attributes
    ----------
    columns : tuple of str
        What it reads.
    size : int
        How many sums it gives.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """See above."""

    @property
    def size(self) -> int:
        """See above."""

    def sums(self, columns: Mapping[str, Column], weight: Float, start: int) -> Float:
        """Return the weighted sums over some rows, of which none misses a value; shape (size,)."""


class Margins(Statistic):
    """Sums of what rows give, in float64, along a binary tree over blocks of rows: the same for any cut of them.

    Parameters
    ----------
    rows : Rows
    by : sequence of str
        Columns whose levels are groups.
    weights : str or None
        Column of the weights; a row of weight 0 is left out.
    label : str
        What errors call the data.
    drop : bool
        Whether rows with a missing value are left out; else they are refused.
    length : int
        Rows of a block.
    """

    def __init__(
        self, rows: Rows, by: Sequence[str], weights: str | None, label: str, drop: bool, length: int = 4096
    ) -> None:
        self.rows, self.by, self.weights, self.label, self.drop = rows, tuple(by), weights, label, drop
        self.block_rows = length
        self._tree: BlockTree[Node] = BlockTree(_merged, _copied)

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read of each row."""
        apart = () if self.weights is None else (self.weights,)
        return tuple(dict.fromkeys((*self.rows.columns, *self.by, *apart)))

    def fresh(self) -> Self:
        """Return one that has seen no row."""
        return type(self)(self.rows, self.by, self.weights, self.label, self.drop, self.block_rows)

    def _absorb(self, batch: Batch) -> None:
        columns = {name: batch.columns[name] for name in self.columns}
        absent = [missing(values) for values in columns.values()]
        whole = ~np.logical_or.reduce(absent) if absent else np.ones(len(batch), bool)
        if not whole.all() and not self.drop:
            i = int(np.argmin(whole))
            name = next(n for n, mask in zip(columns, absent, strict=True) if mask[i])
            row = batch.start + (i if batch.kept is None else int(batch.kept[i]))
            raise DataError(
                f"{self.label}, row {row:,} (from 0): column {name!r} has no value; drop it: missing='drop'"
            )
        lost = len(batch) - int(whole.sum())
        self.n, self.n_missing = self.n - lost, self.n_missing + lost
        weight = np.ones(len(batch)) if self.weights is None else _weights(columns[self.weights], self)
        used = whole & (weight > 0)
        self.n -= int((whole & ~used).sum())
        if not used.any():
            return
        node: Node = {}
        for group, rows in self._groups(columns, np.flatnonzero(used)):
            some = {name: columns[name][rows] for name in self.rows.columns}
            node[group] = self.rows.sums(some, weight[rows], batch.start)
        self._tree.push(batch.start // self.block_rows, node)

    def _groups(self, columns: Mapping[str, Column], rows: NDArray[np.intp]) -> list[tuple[Group, NDArray[np.intp]]]:
        """Return the groups among some rows, and their rows."""
        parts: list[tuple[Group, NDArray[np.intp]]] = [((), rows)]
        for name in self.by:
            finer = []
            for group, some in parts:
                values = columns[name][some]
                codes: NDArray[Any] = values.codes if isinstance(values, Coded) else values
                for level in np.unique(codes):
                    own = values.levels[int(level)] if isinstance(values, Coded) else level.item()
                    finer.append(((*group, own), some[codes == level]))
            parts = finer
        if len(parts) > _MOST:
            raise UsageError(f"{', '.join(self.by)} have more than {_MOST:,} levels together; choose coarser groups")
        return parts

    def _join(self, other: Self) -> None:
        self._tree.join(other._tree.nodes)

    def total(self) -> Node:
        """Return the sums of each group, in order.

        Raises
        ------
        DataError
            No row was used.
        """
        if not self._tree:
            raise DataError(f"{self.label}: no rows without missing values; nothing to average")
        found = self._tree.total()
        return {group: found[group] for group in sorted(found, key=lambda g: tuple(map(_sortable, g)))}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the sums as plain arrays; what turns rows into sums is not in it."""
        nodes = self._tree.nodes
        about = {"by": self.by, "weights": self.weights, "label": self.label, "drop": self.drop}
        groups = [[list(group) for group in node] for *_, node in nodes]
        meta = {**self.counts(), **about, "length": self.block_rows, "size": self.rows.size, "groups": groups}
        sums = [values for *_, node in nodes for values in node.values()]
        return {
            "meta": np.array(json.dumps(meta)),
            "place": np.array([place for *place, _ in nodes], dtype=np.int64).reshape(-1, 2),
            "sums": np.array(sums).reshape(-1, self.rows.size),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state, to be read and merged."""
        meta = json.loads(str(arrays["meta"]))
        self = cls(_Known(meta["size"]), meta["by"], meta["weights"], meta["label"], meta["drop"], meta["length"])
        self.n, self.n_read, self.n_missing = meta["n"], meta["n_read"], meta["n_missing"]
        left = iter(arrays["sums"].copy())
        nodes = [{tuple(group): next(left) for group in groups} for groups in meta["groups"]]
        places = arrays["place"].tolist()
        self._tree.join((level, index, node) for (level, index), node in zip(places, nodes, strict=True))
        return self


class _Known:
    """In place of what turns rows into sums, where these are read from a file."""

    columns: tuple[str, ...] = ()

    def __init__(self, size: int) -> None:
        self.size = size

    def sums(self, columns: Mapping[str, Column], weight: Float, start: int) -> Float:
        """Refuse."""
        raise DataError("this state was saved without what reads rows; read them again")


def _weights(values: Column, state: Margins) -> Float:
    weight = np.asarray(values, dtype=np.float64)
    if (weight < 0).any() or not np.isfinite(weight[~np.isnan(weight)]).all():
        raise DataError(f"{state.label}: column {state.weights!r} has weights that are negative or infinite; mend them")
    return np.nan_to_num(weight)


def _merged(left: Node, right: Node) -> Node:
    for group, values in right.items():
        left[group] = left[group] + values if group in left else values
    return left


def _copied(node: Node) -> Node:
    return dict(node)


def _sortable(level: Any) -> tuple[bool, Any]:
    return isinstance(level, str), level
