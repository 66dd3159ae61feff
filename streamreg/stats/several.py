"""Several statistics in one pass, each of the rows and the target that it asks for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError
from streamreg.stats.base import Statistic
from streamreg.stats.grouped import By, Column


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several statistics sees of each batch.

    Attributes
    ----------
    by : By or None
        How rows are put in groups; None: all rows are seen.
    key : int, str or None
        The group whose rows are seen, or are not if `without`.
    without : bool
    target : int or None
        Which feature is the target in its place; None: the batch has its own.
    features : tuple of int or None
        Which features are left; None: all.
    """

    by: By | None = None
    key: int | str | None = None
    without: bool = False
    target: int | None = None
    features: tuple[int, ...] | None = None

    def of(self, batch: Batch, groups: dict[str, NDArray[Any]]) -> Batch:
        """Return the rows that are seen; `groups` keeps what groups the rows belong to, for the next."""
        if self.by is not None:
            name = str(self.by)
            if name not in groups:
                groups[name] = _groups(self.by, batch)
            inside = groups[name] == self.key
            batch = batch.take(np.flatnonzero(~inside if self.without else inside))
        if self.features is not None:
            low = None if batch.low is None else np.ascontiguousarray(batch.low[:, self.features])
            y = batch.y if self.target is None else batch.x[:, self.target]
            batch = replace(batch, x=np.ascontiguousarray(batch.x[:, self.features]), y=y, low=low)
        return batch


ALL = Share()
"""All rows, as they are."""


def _groups(by: By, batch: Batch) -> NDArray[Any]:
    keys = by.keys(batch)
    names = batch.labels[0] if batch.labels and isinstance(by, Column) else {}
    return np.array([names.get(int(key), int(key)) for key in keys], dtype=object) if names else keys


class Several(Statistic):
    """Statistics of the same pass: each has the same bits as if it had been alone.

    Parameters
    ----------
    parts : sequence of Statistic
        Empty ones, of blocks of the same length.
    shares : sequence of Share
        What each of them sees.
    """

    def __init__(self, parts: Sequence[Statistic], shares: Sequence[Share]) -> None:
        self.parts, self.shares = list(parts), tuple(shares)
        self.block_rows = min(part.block_rows for part in parts)
        if max(part.block_rows for part in parts) != self.block_rows:
            raise DataError("statistics of blocks of different lengths do not share a pass")

    def fresh(self) -> Self:
        """Return empty statistics of the same kinds."""
        return type(self)([part.fresh() for part in self.parts], self.shares)

    @property
    def nbytes(self) -> int:
        """Memory that all of them take up."""
        return sum(part.nbytes for part in self.parts)

    def settle(self) -> None:
        """Finish what each began."""
        for part in self.parts:
            part.settle()

    def _absorb(self, batch: Batch) -> None:
        groups: dict[str, NDArray[Any]] = {}
        for part, share in zip(self.parts, self.shares, strict=True):
            seen = share.of(batch, groups)
            if len(seen):
                part.update(seen)

    def _join(self, other: Self) -> None:
        for part, more in zip(self.parts, other.parts, strict=True):
            part.merge(more)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the states as plain arrays, one after the other."""
        kinds = [f"{type(part).__module__}:{type(part).__qualname__}" for part in self.parts]
        shares = [
            [None if share.by is None else str(share.by), share.key, share.without, share.target, share.features]
            for share in self.shares
        ]
        arrays = {"meta": np.array(json.dumps({**self.counts(), "kinds": kinds, "shares": shares}))}
        for k, part in enumerate(self.parts):
            arrays |= {f"{k}.{name}": array for name, array in part.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the states."""
        from importlib import import_module

        meta = json.loads(str(arrays["meta"]))
        parts = []
        for k, kind in enumerate(meta["kinds"]):
            module, _, name = kind.partition(":")
            own = {key.partition(".")[2]: array for key, array in arrays.items() if key.partition(".")[0] == str(k)}
            parts.append(getattr(import_module(module), name).from_arrays(own))
        shares = [
            Share(
                None if by is None else By.parse(by),
                key,
                without,
                target,
                None if features is None else tuple(features),
            )
            for by, key, without, target, features in meta["shares"]
        ]
        self = cls(parts, shares)
        self.n, self.n_read, self.n_missing = meta["n"], meta["n_read"], meta["n_missing"]
        return self
