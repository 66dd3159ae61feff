"""What a scan keeps: a monoid with a reader.

A `Statistic` absorbs batches of rows and merges with its like. The public verbs do the bookkeeping; the author of a
statistic writes the hooks `_absorb` and `_join`.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from streamreg._version import __version__
from streamreg.design.batch import Batch
from streamreg.errors import NotFound, UsageError, nearest
from streamreg.stats.provenance import Record

SUFFIX = ".moments"
"""What names of files end in to which states are saved."""


class Statistic(ABC):
    """State of a scan.

    Attributes
    ----------
    n : int
        Rows absorbed.
    n_read : int
        Rows seen, those left out included.
    n_missing : int
        Rows left out for a missing value. The rest of ``n_read - n`` had zero weight.
    missing_in : dict of str to int
        In how many of them each column has no value.
    block_rows : int
        How many rows `update` is to be given at a time; blocks begin at multiples of it, counted from row 0 of the
        source. It depends on the number of columns alone, so results do not depend on chunks, threads or memory.
    target : str or None
        The column to explain unless another one is asked for.
    record : Record or None
        Which rows these are, where that is known.
    associative : bool
        Whether the last bits are the same however merges are grouped.
    settles : bool
        Whether numbers of a result come of it, so that all its passes must be over the same rows.
    """

    n: int = 0
    n_read: int = 0
    n_missing: int = 0
    missing_in: Mapping[str, int] = MappingProxyType({})
    block_rows: int
    target: str | None = None
    record: Record | None = None
    associative: ClassVar[bool] = True
    settles: ClassVar[bool] = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.n:,} rows>"

    def _repr_html_(self) -> str:
        from streamreg.reporting.columns import listed

        facts = [
            ("rows", f"{self.n:,}"),
            ("groups", f"{len(groups):,}" if (groups := getattr(self, "groups", ())) else "-"),
        ]
        roles = {getattr(self, "target", None): "target"}
        return listed(type(self).__name__, facts, getattr(self, "names", ()), {}, roles).html()

    @abstractmethod
    def fresh(self) -> Self:
        """Return an empty statistic of the same kind."""

    def lengthened(self, factor: int) -> Self:
        """Return an empty statistic of the same kind, with blocks `factor` times as long if it can work on such."""
        return self.fresh()

    @property
    def nbytes(self) -> int:
        """Memory that the state takes up, roughly."""
        return 0

    def compact(self) -> Self:
        """Return the same state, as small as it can be."""
        return self

    def update(self, batch: Batch) -> Self:
        """Absorb one block of rows; returns self."""
        self.n += len(batch)
        self.n_read += batch.read
        self.n_missing += batch.missing
        if batch.missing_in:
            self.missing_in = added(self.missing_in, batch.missing_in)
        if len(batch):
            self._absorb(batch)
        return self

    def settle(self) -> None:  # noqa: B027  # most statistics have nothing under way
        """Finish what `update` began. Called where the rows were read, after the last of a partition."""

    def shared(self) -> Self:
        """Return an empty statistic for one scan by threads of this process.

        What does not depend on the order of the rows may be kept in one place by all that are `fresh` of it.
        """
        return self

    def gather(self) -> None:  # noqa: B027  # most statistics share nothing
        """Take what those that are `fresh` of the same `shared` statistic kept in one place, after the last row."""

    def merge(self, other: Self) -> Self:
        """Absorb another state, whose rows come after this one's; returns self. Associative."""
        if other.n_read:
            self.record = Record.joined(self.record, other.record) if self.n_read else other.record
            self.target = self.target or other.target
        self.n += other.n
        self.n_read += other.n_read
        self.n_missing += other.n_missing
        if other.missing_in:
            self.missing_in = added(self.missing_in, other.missing_in)
        if other.n:
            self._join(other)
        return self

    @abstractmethod
    def _absorb(self, batch: Batch) -> None: ...

    @abstractmethod
    def _join(self, other: Self) -> None: ...

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to one file, which `streamreg.load` reads: arrays and JSON with a checksum.

        Sums of parts of the rows are added up first, so ``8 * q * (q + 1) / 2`` bytes and a little more are written for
        q columns (and for each group, if there are groups).

        Raises
        ------
        NotFound
            The folder does not exist.
        DataError
            The file cannot be written.
        UsageError
            Its name does not end in ``.moments``.
        """
        from streamreg.persist import archive

        require_suffix(path)
        archive.write(path, "scan", *self.packed())

    def packed(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the state as a file holds it: plain values, and arrays."""
        record = None if self.record is None else self.record.to_dict()
        values = {"statistic": type(self).__name__, "record": record, "version": __version__}
        return values, {f"state.{name}": array for name, array in self.compact().to_arrays().items()}

    def explained(self, target: str | None) -> str:
        """Return the column to explain: `target`, or the one remembered.

        Raises
        ------
        UsageError
            There is neither.
        """
        chosen = target or self.target
        if chosen is None:
            raise UsageError("these moments have no target of their own; say which column to explain, as in target='y'")
        return chosen

    def counts(self) -> dict[str, int]:
        """Return the numbers of rows absorbed, read and missing, by name."""
        return {"n": self.n, "n_read": self.n_read, "n_missing": self.n_missing}

    @abstractmethod
    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the whole state as plain arrays."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild a state from `to_arrays`."""


def added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of counts."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in (*one, *(n for n in other if n not in one))}


def block_rows(columns: int) -> int:
    """Return the rows of a block: a power of two, of one to two megabytes of float64.

    That is little enough to stay in cache between being read and being multiplied, and enough to outweigh what a block
    costs apart from its rows. Never below 1024: wide blocks leave the cache, but each costs a merge of ``columns**2``
    numbers.
    """
    rows = 2**18 // max(columns, 1)
    return int(np.clip(1 << (rows.bit_length() - 1 if rows else 0), 1024, 4096))


def columns(
    names: tuple[str, ...], target: str, features: Sequence[str] | None
) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Return the features of a problem, all but the target by default, and where they and the target are in `names`.

    Raises
    ------
    NotFound
        A column is not among `names`.
    UsageError
        A column is named twice, or is the target and a feature.
    """
    chosen = tuple(n for n in names if n != target) if features is None else tuple(features)
    place = {name: k for k, name in enumerate(names)}
    for name in (target, *chosen):
        if name not in place:
            hint = f"; if it is stored apart from the columns, scan again with target={name!r}" * (name == target)
            raise NotFound(f"no column {name!r} in these moments{nearest(name, names)}{hint}")
    if target in chosen:
        raise UsageError(f"column {target!r} is the target and a feature; leave it out of the features")
    if len(set(chosen)) < len(chosen):
        twice = next(n for n in chosen if chosen.count(n) > 1)
        raise UsageError(f"feature {twice!r} is named twice; name it once")
    return chosen, np.array([place[n] for n in (*chosen, target)])


def require_suffix(path: str | os.PathLike[str]) -> None:
    """Refuse another name for a file of moments than one by which fits know it."""
    if not str(path).endswith(SUFFIX):
        raise UsageError(f"{path}: moments go to a file whose name ends in {SUFFIX}, by which fits know it")
