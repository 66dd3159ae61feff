"""From stored rows to numbers ready to accumulate: which columns, in which role, and what to do with missing values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.design.columns import beside, keys, labels, numbers, parts_of, require_numbers
from streamreg.design.complete import complete
from streamreg.design.leaving import Leaving
from streamreg.design.policy import Missing as Missing
from streamreg.design.terms import Terms
from streamreg.errors import DataError, UsageError
from streamreg.kernels.gram import finite
from streamreg.kernels.rowhash import Sample
from streamreg.sources.base import Source
from streamreg.sources.chunk import Chunk


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
    missing : {"error", "drop"}, or dict of str to these
        What to do with NaN: refuse, or leave the row out and count it. Infinity is always refused. A column whose
        policy is "keep" stays as it is.
    powers : tuple of (str, int)
        Columns to raise to powers up to a degree; see `terms`.
    sample : Sample or None
        Which part of the rows; None: all of them.
    keys : tuple of str
        Columns of whole numbers, text or dates that say which groups a row belongs to; "a^b" is both together.
    beside : tuple of (str, str)
        Further numbers of the rows, such as an offset: the role and the column of each.
    leaving : Leaving or None
        Groups, as the first keys name them, whose rows are left out.
    """

    label: str
    features: tuple[str, ...]
    target: str | None = None
    weights: str | None = None
    missing: Missing = "error"
    powers: tuple[tuple[str, int], ...] = ()
    sample: Sample | None = None
    keys: tuple[str, ...] = ()
    beside: tuple[tuple[str, str], ...] = ()
    leaving: Leaving | None = None

    @classmethod
    def of(
        cls,
        source: Source,
        features: tuple[str, ...] | None = None,
        missing: Missing = "error",
        powers: Mapping[str, int] | None = None,
        keys: tuple[str, ...] = (),
        beside: Mapping[str, str] | None = None,
    ) -> Self:
        """Read the roles of `source`; `features` overrides which columns are regressed on.

        Columns in `keys` are features only if they are named as such.

        Raises
        ------
        NotFound
            A feature or key is not a column.
        UsageError
            The target or the weights are among the features or keys, or powers are asked of what is not a feature.
        """
        if features is not None:
            source = source.with_roles(features=features)
        roles, names = source.roles, source.schema.names
        for key in (name for joined in keys for name in parts_of(joined)):
            if source.schema.require(key, source.label) in (roles.target, roles.weights):
                what = "target" if key == roles.target else "weights"
                raise UsageError(f"{source.label}: column {key!r} is the {what} and cannot say which group a row is in")
        more = dict(beside or {})
        for role, name in more.items():
            if source.schema.require(name, source.label) in (roles.target, roles.weights, *(roles.features or ())):
                what = "target" if name == roles.target else "weights" if name == roles.weights else "a feature"
                raise UsageError(f"{source.label}: column {name!r} is {what} and cannot be the {role} too")
        others = {roles.target, roles.weights, *(n for key in keys for n in parts_of(key)), *more.values()}
        chosen = roles.features if roles.features is not None else tuple(n for n in names if n not in others)
        Terms.of(chosen, powers or {})
        raised = tuple((powers or {}).items())
        numbers = (*chosen, *(n for n in (roles.target, roles.weights) if n is not None), *more.values())
        require_numbers(source.schema, numbers, source.label)
        return cls(
            source.label,
            chosen,
            roles.target,
            roles.weights,
            missing,
            raised,
            roles.sample,
            keys,
            tuple(more.items()),
        )

    def with_target(self) -> Self:
        """Return this design, having made sure that there is a target."""
        if self.target is None:
            raise UsageError(f"{self.label}: no target; say which column to explain, as in target='y'")
        return self

    def without_target(self) -> Self:
        """Return this design for rows to predict: features only."""
        return replace(self, target=None, weights=None, keys=(), beside=())

    @property
    def names(self) -> tuple[str, ...]:
        """What a batch holds: the terms, then the target if there is one."""
        return self.terms.names if self.target is None else (*self.terms.names, self.target)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are read."""
        others = (self.target, self.weights, *(name for key in self.keys for name in parts_of(key)))
        others += tuple(name for _, name in self.beside)
        return tuple(dict.fromkeys((*self.features, *(name for name in others if name is not None))))

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
            A negative or non-finite weight, or a key that is not a whole number, with its row.
        """
        read, whole = len(chunk), chunk
        chunk = chunk.passing()
        x, y, low, fine = numbers(chunk, self.features, self.target, self.label)
        groups = [keys(chunk, name, self.label) for name in self.keys]
        groups += [beside(chunk, (name,), self.label)[0][:, 0] for _, name in self.beside]
        weight = None
        rows: NDArray[np.int64] | None = None
        if self.sample is not None:
            mask = self.sample.mask(whole.start, read)
            rows = np.flatnonzero(mask if whole.passed is None else mask[whole.passed])
        if self.weights is not None:
            weight = beside(chunk, (self.weights,), self.label)[0][:, 0].astype(np.float64)
            self._check_weights(weight, chunk)
            if not weight.all():
                rows = np.flatnonzero(weight) if rows is None else rows[weight[rows] > 0]
        if rows is not None:
            x, low, y = x[rows], None if low is None else low[rows], None if y is None else y[rows]
            weight, groups = None if weight is None else weight[rows], [g[rows] for g in groups]
        missing, missing_in = 0, dict[str, int]()
        if not _all_finite(chunk, groups if fine else [x, *([] if y is None else [y]), *groups]):
            keep, missing_in = self._complete(x, y, chunk, rows, groups)
            missing = len(x) - len(keep)
            x, low, y = x[keep], None if low is None else low[keep], None if y is None else y[keep]
            weight = None if weight is None else weight[keep]
            rows, groups = keep if rows is None else rows[keep], [g[keep] for g in groups]
        if self.powers:
            x, low = self.terms.expand(x, low)
            _require_finite_powers(x, self.terms, self.label, chunk.start)
        more = {role: groups.pop(len(self.keys)).astype(np.float64) for role, _ in self.beside}
        together = self._whole(groups, chunk, rows) if groups else None
        named = tuple(labels(chunk, name) for name in self.keys)
        if self.leaving is not None and together is not None and not (stay := self.leaving.stay(together)).all():
            x, low, y = x[stay], None if low is None else low[stay], None if y is None else y[stay]
            weight, together = None if weight is None else weight[stay], together[stay]
            rows = np.flatnonzero(stay) if rows is None else rows[stay]
            more = {role: values[stay] for role, values in more.items()}
        if chunk.numbers is not None:
            rows = (chunk.numbers if rows is None else chunk.numbers[rows]) - chunk.start
        return Batch(
            x, y, weight, chunk.start, read, missing, low, together, rows, named, beside=more, missing_in=missing_in
        )

    def rows(self, chunk: Chunk) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return the features of the rows that pass and are complete, in storage order, and which rows those are.

        Raises
        ------
        NonFiniteError
            NaN (unless `missing` is "drop") or infinity, with row and column.
        """
        chunk = chunk.passing()
        x, _ = beside(chunk, self.features, self.label)
        keep = np.arange(len(x)) if finite(x) else self._complete(x, None, chunk, None)[0]
        kept = x if len(keep) == len(x) else x[keep]
        return kept, keep if chunk.numbers is None else chunk.numbers[keep] - chunk.start

    def _complete(
        self,
        x: NDArray[Any],
        y: NDArray[Any] | None,
        chunk: Chunk,
        rows: NDArray[np.int64] | None,
        groups: Sequence[NDArray[Any]] = (),
    ) -> tuple[NDArray[np.int64], dict[str, int]]:
        """Return the rows without NaN, and by column the others; raise for infinity, and for NaN that is refused."""
        parts = [x, *([] if y is None else [y[:, None]]), *(g[:, None] for g in groups)]
        names = (*self.features, *([] if y is None else [str(self.target)]))
        names += (*self.keys, *(name for _, name in self.beside))
        made = x.shape[1] + (y is not None)
        return complete(parts, names, made, chunk, rows, self.missing, self.label)

    def _whole(self, groups: Sequence[NDArray[Any]], chunk: Chunk, rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Return the keys as integers, shape (m, k)."""
        out = np.empty((len(groups), len(groups[0])), dtype=np.int64).T
        for column, (name, values) in enumerate(zip(self.keys, groups, strict=True)):
            good = np.ones(len(values), dtype=bool)
            if values.dtype.kind == "f":
                good = (values == np.rint(values)) & (np.abs(values) <= 2.0**53)
            elif values.dtype == np.uint64:
                good = values < 2**63
            if not good.all():
                i = int(np.argmin(good))
                row = chunk.number(i if rows is None else int(rows[i]))
                raise DataError(
                    f"{self.label}, row {row:,} (from 0), column {name!r}: {values[i]} does not name a group; "
                    "groups are whole numbers that int64 holds, so code the column as such"
                )
            out[:, column] = values
        return out

    def _check_weights(self, weight: NDArray[np.float64], chunk: Chunk) -> None:
        good = (weight >= 0) & np.isfinite(weight)
        if not good.all():
            i = int(np.argmin(good))
            raise DataError(
                f"{self.label}, row {chunk.number(i):,} (from 0), weights {self.weights!r}: {weight[i]}; "
                "weights are finite and not negative (0 leaves the row out)"
            )


def _all_finite(chunk: Chunk, parts: list[NDArray[Any]]) -> bool:
    """Say whether parts of a chunk are finite; if they make up its matrix, that is looked through in one go."""
    whole = not chunk.vectors and sum(part.size for part in parts) == chunk.matrix.size
    return (whole and finite(chunk.matrix)) or all(map(finite, parts))


def _require_finite_powers(x: NDArray[Any], terms: Terms, label: str, start: int) -> None:
    if not finite(x):
        name = terms.names[int(np.argmin(np.isfinite(x).all(axis=0)))]
        raise DataError(f"{label}, rows from {start:,}: {name} is beyond 1e308; rescale the column or lower the degree")
