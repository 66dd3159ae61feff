"""From stored rows to numbers ready to accumulate: which columns, in which role, and what to do with missing values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError, NonFiniteError, UsageError, nearest
from streamreg.kernels.rowhash import Sample
from streamreg.sources.base import Chunk, Source
from streamreg.terms import Terms

Missing = Literal["error", "drop"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows ready to accumulate. Never written to: the arrays may be views of storage.

    Attributes
    ----------
    x : ndarray of shape (m, p)
        Features, in the storage's type; all values finite.
    y : ndarray of shape (m,) or None
        Target, in the storage's type; all values finite.
    weight : float64 ndarray of shape (m,) or None
        Positive weights.
    start : int
        Row number, in the source, of the first row read.
    read : int
        Rows read; those of another sample, with zero weight or with missing values are not in `x`.
    missing : int
        Rows left out for a missing value.
    low : float64 ndarray of shape (m, p) or None
        What `x` lacks to the exact values, where they are known to twice float64's digits.
    """

    x: NDArray[Any]
    y: NDArray[Any] | None
    weight: NDArray[np.float64] | None
    start: int
    read: int
    missing: int = 0
    low: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True)
class Design:
    """Pick features, target and weights out of chunks.

    Attributes
    ----------
    label : str
        The source's name, for messages.
    features : tuple of str
        Columns.
    target, weights : str or None
    missing : {"error", "drop"}
        What to do with NaN: refuse, or leave the row out and count it. Infinity is always refused.
    powers : tuple of (str, int)
        Columns to raise to powers up to a degree; see `terms`.
    sample : Sample or None
        Which part of the rows; None: all of them.
    """

    label: str
    features: tuple[str, ...]
    target: str | None = None
    weights: str | None = None
    missing: Missing = "error"
    powers: tuple[tuple[str, int], ...] = ()
    sample: Sample | None = None

    @classmethod
    def of(
        cls,
        source: Source,
        features: tuple[str, ...] | None = None,
        missing: Missing = "error",
        powers: Mapping[str, int] | None = None,
    ) -> Self:
        """Read the roles of `source`; `features` overrides which columns are regressed on.

        Raises
        ------
        NotFound
            A feature is not a column.
        UsageError
            The target or the weights are among the features, or powers are asked of what is not a feature.
        """
        if features is not None:
            source = source.with_roles(features=features)
        roles, names = source.roles, source.schema.names
        others = {roles.target, roles.weights}
        chosen = roles.features if roles.features is not None else tuple(n for n in names if n not in others)
        Terms.of(chosen, powers or {})
        return cls(source.label, chosen, roles.target, roles.weights, missing, tuple((powers or {}).items()))

    def with_target(self) -> Self:
        """Return this design, having made sure that there is a target."""
        if self.target is None:
            raise UsageError(f"{self.label}: no target; say which column to explain, as in target='y'")
        return self

    def without_target(self) -> Self:
        """Return this design for rows to predict: features only."""
        return replace(self, target=None, weights=None)

    @property
    def names(self) -> tuple[str, ...]:
        """What a batch holds: the terms, then the target if there is one."""
        return self.terms.names if self.target is None else (*self.terms.names, self.target)

    @property
    def terms(self) -> Terms:
        """The features, raised to their powers."""
        return Terms.of(self.features, dict(self.powers))

    def batch(self, chunk: Chunk) -> Batch:
        """Turn a chunk into a batch.

        Raises
        ------
        NonFiniteError
            NaN (unless `missing` is "drop") or infinity, with row and column.
        DataError
            A negative or non-finite weight, with its row.
        """
        x = _columns(chunk, self.features, self.label)
        y = None if self.target is None else _columns(chunk, (self.target,), self.label)[:, 0]
        weight = None
        rows: NDArray[np.int64] | None = None
        if self.sample is not None:
            rows = np.flatnonzero(self.sample.mask(chunk.start, len(chunk)))
        if self.weights is not None:
            weight = _columns(chunk, (self.weights,), self.label)[:, 0].astype(np.float64)
            self._check_weights(weight, chunk.start)
            if not weight.all():
                rows = np.flatnonzero(weight) if rows is None else rows[weight[rows] > 0]
        if rows is not None:
            x, y = x[rows], None if y is None else y[rows]
            weight = None if weight is None else weight[rows]
        missing = 0
        if not (_finite(x) and (y is None or _finite(y))):
            keep = self._complete(x, y, chunk.start, rows)
            missing = len(x) - len(keep)
            x, weight, y = x[keep], None if weight is None else weight[keep], None if y is None else y[keep]
        low = None
        if self.powers:
            x, low = self.terms.expand(x)
            _require_finite_powers(x, self.terms, self.label, chunk.start)
        return Batch(x, y, weight, chunk.start, len(chunk), missing, low)

    def rows(self, chunk: Chunk) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return the features of the rows that are complete, in storage order, and which rows those are.

        Raises
        ------
        NonFiniteError
            NaN (unless `missing` is "drop") or infinity, with row and column.
        """
        x = _columns(chunk, self.features, self.label)
        keep = np.arange(len(x)) if _finite(x) else self._complete(x, None, chunk.start, None)
        return (x if len(keep) == len(x) else x[keep]), keep

    def _complete(
        self, x: NDArray[Any], y: NDArray[Any] | None, start: int, rows: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """Return the rows without NaN; raise for infinity, and for NaN unless it is to be dropped."""
        table = x if y is None else np.column_stack([x, y])
        bad = np.isinf(table) if self.missing == "drop" else ~np.isfinite(table)
        if bad.any():
            i, j = (int(k[0]) for k in np.nonzero(bad))
            row = start + (i if rows is None else int(rows[i]))
            value = "NaN (a missing value)" if np.isnan(table[i, j]) else "infinity"
            remedy = "add missing: drop to leave such rows out, or fill them" if np.isnan(table[i, j]) else "mend it"
            name = (*self.features, self.target)[j]
            raise NonFiniteError(f"{self.label}, row {row:,} (from 0), column {name!r}: {value}; {remedy}")
        return np.flatnonzero(~np.isnan(table).any(axis=1))

    def _check_weights(self, weight: NDArray[np.float64], start: int) -> None:
        good = (weight >= 0) & np.isfinite(weight)
        if not good.all():
            i = int(np.argmin(good))
            raise DataError(
                f"{self.label}, row {start + i:,} (from 0), weights {self.weights!r}: {weight[i]}; "
                "weights are finite and not negative (0 leaves the row out)"
            )


def _require_finite_powers(x: NDArray[Any], terms: Terms, label: str, start: int) -> None:
    if not _finite(x):
        name = terms.names[int(np.argmin(np.isfinite(x).all(axis=0)))]
        raise DataError(f"{label}, rows from {start:,}: {name} is beyond 1e308; rescale the column or lower the degree")


def _finite(values: NDArray[Any]) -> bool:
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())


def _columns(chunk: Chunk, names: tuple[str, ...], label: str) -> NDArray[Any]:
    """Return the named columns, shape (m, len(names)): a view wherever the storage order allows it."""
    if names == chunk.names:
        return chunk.matrix
    if len(names) == 1 and names[0] in chunk.vectors:
        return chunk.vectors[names[0]][:, None]
    try:
        index = [chunk.names.index(n) for n in names if n not in chunk.vectors]
    except ValueError:
        absent = next(n for n in names if n not in chunk.vectors and n not in chunk.names)
        raise DataError(
            f"{label}, row {chunk.start:,}: column {absent!r} is gone{nearest(absent, chunk.names)}"
        ) from None
    if len(index) == len(names):
        if index and index == list(range(index[0], index[0] + len(index))):
            return chunk.matrix[:, index[0] : index[0] + len(index)]
        return chunk.matrix[:, index]
    position = {n: k for k, n in enumerate(chunk.names)}
    return np.column_stack([chunk.vectors[n] if n in chunk.vectors else chunk.matrix[:, position[n]] for n in names])
