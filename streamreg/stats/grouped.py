"""One statistic for each group of rows, all in one pass: folds, blocks of consecutive rows, or levels of a column."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError, UsageError
from streamreg.kernels.rowhash import fold_numbers
from streamreg.stats import sense
from streamreg.stats.base import Statistic

S = TypeVar("S", bound=Statistic)

MEMORY = 2**30
"""Bytes that the groups of a scan may take up, unless another bound is given."""

_LONGEST = 8  # times the blocks of an ungrouped scan: a group's share of a block should be worth a product


class By(ABC):
    """How rows are put in groups."""

    @abstractmethod
    def keys(self, batch: Batch) -> NDArray[np.int64]:
        """Return the group of each row of a batch."""

    @abstractmethod
    def __str__(self) -> str: ...

    @property
    def parts(self) -> int:
        """How many groups the rows of one block usually belong to."""
        return 1

    @staticmethod
    def parse(text: str) -> "By":
        """Undo `str`."""
        kind, _, rest = text.partition(" ")
        if kind in ("folds", "hash"):
            folds, seed = rest.split()
            return Hash(int(folds), int(seed), kind)
        return Block(int(rest)) if kind in ("block", "stretch") else Column(rest)


@dataclass(frozen=True, slots=True)
class Hash(By):
    """Folds by a hash of the row number: the same whatever the storage, the chunks and the threads.

    `use` is "hash" in files of earlier versions, whose rows were chosen by the numbers that `split` used.
    """

    folds: int
    seed: int = 0
    use: str = "folds"

    def keys(self, batch: Batch) -> NDArray[np.int64]:
        """Return the fold of each row, from 0."""
        numbers = fold_numbers(batch.start, batch.read, self.folds, self.seed, self.use)
        return numbers if batch.kept is None else numbers[batch.kept]

    def __str__(self) -> str:
        return f"{self.use} {self.folds} {self.seed}"

    @property
    def parts(self) -> int:
        """All folds."""
        return self.folds


@dataclass(frozen=True, slots=True)
class Block(By):
    """Blocks of consecutive rows, each of this many."""

    length: int

    def keys(self, batch: Batch) -> NDArray[np.int64]:
        """Return the number of each row's block, from 0."""
        rows = np.arange(batch.read) if batch.kept is None else batch.kept
        return np.asarray((batch.start + rows) // self.length)

    def __str__(self) -> str:
        return f"block {self.length}"


@dataclass(frozen=True, slots=True)
class Column(By):
    """The values of the design's first key column."""

    name: str

    def keys(self, batch: Batch) -> NDArray[np.int64]:
        """Return the values."""
        assert batch.keys is not None
        return batch.keys[:, 0]

    def __str__(self) -> str:
        return f"column {self.name}"

    @property
    def parts(self) -> int:
        """Unknown beforehand, hence many."""
        return _LONGEST


class Grouped(Statistic, Generic[S]):
    """A statistic for each group of rows.

    Parameters
    ----------
    inner : Statistic
        An empty one; it is not changed.
    by : By
        How rows are put in groups.
    memory : int
        Bytes that all groups may take up together. Partitions that are being read hold as much again for the groups
        that occur in them.

    Attributes
    ----------
    groups : dict of int or str to Statistic
        By number, or by the text or date that names the group.

    Notes
    -----
    Cost: that of `inner`, and a copy of the rows if groups are mixed within a block. Memory: that of `inner` for each
    group, about ``4 q**2 log2(blocks)`` bytes for moments of q columns; beyond `memory` the scan is refused.
    """

    def __init__(self, inner: S, by: By, memory: int = MEMORY) -> None:
        self.inner: S = inner.lengthened(min(by.parts, _LONGEST))
        self.by, self.memory = by, memory
        self.block_rows = self.inner.block_rows
        self.target = inner.target
        self.groups: dict[Any, S] = {}
        self._held = 0

    def fresh(self) -> Self:
        """Return an empty statistic with the same way of grouping."""
        new = type(self).__new__(type(self))
        new.inner, new.by, new.memory, new.block_rows = self.inner, self.by, self.memory, self.block_rows
        new.target, new.groups, new._held = self.target, {}, 0
        return new

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of every group's statistic."""
        return tuple(self.inner.names)  # type: ignore[attr-defined]  # moments have names

    @property
    def nbytes(self) -> int:
        """Memory that the groups take up."""
        return self._held

    def _absorb(self, batch: Batch) -> None:
        keys = self.by.keys(batch)
        names = batch.labels[0] if batch.labels and isinstance(self.by, Column) else {}
        if (keys == keys[0]).all():
            self._add(names.get(int(keys[0]), int(keys[0])), batch.take(slice(None)))
            return
        order = np.argsort(keys, kind="stable")
        keys, ordered = keys[order], batch.ordered(order)
        borders = [0, *(np.flatnonzero(np.diff(keys)) + 1).tolist(), len(keys)]
        for a, b in pairwise(borders):
            self._add(names.get(int(keys[a]), int(keys[a])), ordered.take(slice(a, b)))

    def _join(self, other: Self) -> None:
        if str(other.by) != str(self.by):
            raise DataError(f"rows were grouped in different ways ({self.by}; {other.by}); scan both alike, then merge")
        for key, state in other.groups.items():
            self._add(key, state)

    def _add(self, key: int | str, rows: Batch | S) -> None:
        """Give rows, or a state of some, to their group."""
        state = self.groups.get(key)
        before = 0 if state is None else state.nbytes
        if state is None:
            state = self.groups[key] = self.inner.fresh()
        if isinstance(rows, Batch):
            state.update(rows)
        else:
            state.merge(rows)
        self._held += state.nbytes - before
        if self._held > self.memory:
            raise UsageError(
                f"{len(self.groups):,} groups ({self.by}) of {len(self.names)} columns need more than "
                f"{self.memory / 2**20:,.0f} MiB, and there may be more; raise memory, choose fewer features, or group "
                "by fewer levels"
            )

    def renumbered(self, first: int, by: By) -> Self:
        """Return the same groups under numbers from `first` on, as if they had been made by `by`."""
        new = self._like()
        new.by = by
        new.groups = {first + k: self.groups[key] for k, key in enumerate(sorted(self.groups))}
        return new

    def _like(self) -> Self:
        new = self.fresh()
        new.n, new.n_read, new.n_missing, new.record = self.n, self.n_read, self.n_missing, self.record
        new._held = self._held
        return new

    def compact(self) -> Self:
        """Return the same groups, each as small as it can be, in order of their keys."""
        new = self._like()
        new.groups = {key: self.groups[key].compact() for key in sorted(self.groups)}
        return new

    def merged(self) -> S:
        """Return the statistic of all rows, whatever their group."""
        total = self.inner.fresh()
        for key in sorted(self.groups):
            total.merge(self.groups[key])
        total.n_read, total.n_missing, total.record = self.n_read, self.n_missing, self.record
        return total

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays: those of the groups one after the other, and their shapes."""
        keys = sorted(self.groups)
        meta = {"by": str(self.by), "memory": self.memory, "keys": keys, **self.counts()}
        states = [self.inner.fresh().to_arrays(), *(self.groups[key].to_arrays() for key in keys)]
        out = {"meta": np.array(json.dumps(meta | {"states": [str(a["meta"]) for a in states]}))}
        for name in states[0]:
            if name != "meta":
                parts = [a[name] for a in states]
                out[f"{name}.values"] = np.concatenate([part.ravel() for part in parts])
                out[f"{name}.shapes"] = np.array([part.shape for part in parts], dtype=np.int64)
        out["inner"] = np.array(type(self.inner).__name__)
        return out

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        from streamreg.stats.integer_moments import IntegerMoments
        from streamreg.stats.moments import Moments

        meta = json.loads(str(arrays["meta"]))
        kinds: dict[str, type[Statistic]] = {"Moments": Moments, "IntegerMoments": IntegerMoments}
        kind = kinds[str(arrays["inner"])]
        inner, *states = (cast(S, kind.from_arrays(parts)) for parts in _unpacked(arrays, meta["states"]))
        self = cls(inner, By.parse(meta["by"]), meta["memory"])
        self.n, self.n_read, self.n_missing = sense.counts(meta)
        sense.apart(meta["keys"], (state.n for state in states), self.n)
        names: list[Any] = [state.names for state in (inner, *states)]  # type: ignore[attr-defined]
        sense.require(names.count(names[0]) == len(names), "the groups have other columns than all together")
        self.groups = dict(zip(meta["keys"], states, strict=True))
        self._held = sum(state.nbytes for state in states)
        return self


def _unpacked(arrays: Mapping[str, NDArray[Any]], metas: list[str]) -> Iterator[dict[str, NDArray[Any]]]:
    names = [name.removesuffix(".values") for name in arrays if name.endswith(".values")]
    ends = {}
    for name in names:
        shapes, values = arrays[f"{name}.shapes"], arrays[f"{name}.values"]
        ends[name] = sense.ends(sense.sizes(shapes, values, len(metas)))
    for k, meta in enumerate(metas):
        parts: dict[str, NDArray[Any]] = {"meta": np.array(meta)}
        for name in names:
            first, last = ends[name][k]
            parts[name] = arrays[f"{name}.values"][first:last].reshape(arrays[f"{name}.shapes"][k])
        yield parts
