"""Jackknife and bootstrap from the moments of groups of rows: no row is read again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError, require, typed
from streamreg.inference import statistics
from streamreg.kernels import doubledouble as dd
from streamreg.kernels.blas import one_thread
from streamreg.models.base import Spec
from streamreg.reporting import tables
from streamreg.results.base import FitResult
from streamreg.scans import scan
from streamreg.stats import chan
from streamreg.stats.moments import Moments

Float = NDArray[np.float64]

Estimator = Spec | Callable[[Moments], Any]
"""A model that takes moments, or a function of moments that returns numbers."""

_AT_A_TIME = 64
_FEW = 6  # digits; fewer are said


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Resampled:
    """Estimates, and those from resampled rows.

    Attributes
    ----------
    kind : {"jackknife", "bootstrap"}
    names : tuple of str
    estimates : ndarray of shape (k,)
        From all rows.
    replicates : ndarray of shape (b, k)
    groups : int
        How many groups of rows were resampled.
    degenerate : int
        Replicates left out, because their rows determine fewer coefficients than all rows do.
    digits : ndarray of shape (k,)
        Decimal digits of the estimates and of each replicate to trust, the least of all; NaN for a function's numbers.
    """

    kind: str
    names: tuple[str, ...]
    estimates: Float
    replicates: Float
    groups: int
    degenerate: int = 0
    digits: Float = field(default_factory=lambda: np.zeros(0))

    def cov(self) -> Float:
        """Return the covariance of the estimates, shape (k, k)."""
        away = self.replicates - self.replicates.mean(axis=0)
        b = len(away)
        factor = (b - 1) / b if self.kind == "jackknife" else 1 / (b - 1)
        return np.asarray(away.T @ away * factor)

    @property
    def std_errors(self) -> Float:
        """Standard errors, shape (k,)."""
        return np.sqrt(np.diag(self.cov()))

    @property
    def bias(self) -> Float:
        """Estimated bias, shape (k,)."""
        away = self.replicates.mean(axis=0) - self.estimates
        return np.asarray(away * (len(self.replicates) - 1 if self.kind == "jackknife" else 1))

    @typed
    def conf_int(self, level: float = 0.95) -> Float:
        """Return intervals, shape (k, 2): percentiles of a bootstrap; Student's t with G - 1 df for a jackknife."""
        if self.kind == "jackknife":
            return statistics.t_interval(self.estimates, self.std_errors, self.groups - 1, level)
        statistics.require_level(level)
        return np.asarray(np.quantile(self.replicates, [0.5 - level / 2, 0.5 + level / 2], axis=0).T)

    def summary(self, rows: int | None = 20) -> str:
        """Return a table of estimates, errors and intervals."""
        columns = zip(self.names, self.estimates, self.std_errors, self.bias, *self.conf_int().T, strict=True)
        lines = [[name, *(f"{value:.5g}" for value in values)] for name, *values in columns]
        notes = [] if rows is None or len(lines) <= rows else [f"... and {len(lines) - rows} more"]
        if self.degenerate:
            notes.append(f"{self.degenerate} replicates were left out: their rows determine fewer coefficients.")
        least = np.fmin.reduce(self.digits, initial=16.0)
        if least < _FEW:
            notes.append(
                f"Rounding leaves {least:.0f} digits of some estimates and replicates: columns depend on each other so "
                "nearly that float64 moments do not give more. Leave one of them out."
            )
        facts = [("groups", f"{self.groups:,}"), ("replicates", f"{len(self.replicates):,}")]
        header = ("", "estimate", "std error", "bias", "[0.025", "0.975]")
        return tables.render(self.kind, facts, header, lines[:rows], notes)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<{self.kind} of {len(self.names)} estimates: {len(self.replicates):,} replicates>"


@typed
def jackknife(model: Estimator, data: Any) -> Resampled:
    """Leave out one group of rows at a time (Quenouille 1956, *Biometrika* 43; Tukey 1958).

    With runs of consecutive rows for groups (``sr.scan(data, blocks=200)``) the errors hold for rows that are
    correlated with nearby ones (Kuensch 1989, *Annals of Statistics* 17); with the levels of a column (``by=``), for
    clusters; with folds, for independent rows.

    Parameters
    ----------
    model : model that takes moments, or callable
        A callable takes `Moments` and returns numbers. Of many candidates, `best` is chosen anew each time.
    data : Grouped, or path of its file
        Of float64 moments.

    Raises
    ------
    UsageError
        The moments are not kept apart, or are exact.

    Notes
    -----
    Cost: a fit for each group, and ``G q**2`` multiplications; ``4 G q**2`` bytes.
    """
    groups = _Groups.of(data)
    count = len(groups.weight)
    return _resampled("jackknife", model, groups, 1.0 - np.eye(count))


@typed
def bootstrap(model: Estimator, data: Any, replicates: int = 999, seed: int = 0) -> Resampled:
    """Draw as many groups of rows as there are, with replacement, time after time (Efron 1979, *Ann. Statist.* 7).

    Parameters
    ----------
    model, data
        As for `jackknife`, which says what the groups mean.
    replicates : int
    seed : int

    Raises
    ------
    UsageError
        The moments are not kept apart, or are exact; or fewer than two replicates.

    Notes
    -----
    Cost: a fit for each replicate, and ``G q**2`` multiplications.
    """
    if replicates < 2:
        raise UsageError(f"replicates is {replicates}; it takes two or more")
    groups = _Groups.of(data)
    count = len(groups.weight)
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, count, (replicates, count))
    times = np.stack([np.bincount(draw, minlength=count) for draw in draws]).astype(np.float64)
    return _resampled("bootstrap", model, groups, times)


@dataclass(frozen=True, slots=True)
class _Groups:
    """Moments of groups about a common centre: of each symmetric matrix, the lower triangle as a row."""

    names: tuple[str, ...]
    target: str | None
    total: chan.Centred
    n: Float
    weight: Float
    log_weight: Float
    away: Float
    cross: Float

    @classmethod
    def of(cls, data: Any) -> Self:
        parts = [part for part in scan.folds(data).values() if part.n]
        if not all(isinstance(part, Moments) for part in parts):
            raise UsageError("exact moments are not resampled; scan with precision='float64'")
        if len(parts) < 2:
            raise UsageError("resampling needs two groups of rows or more")
        whole = parts[0].fresh()
        for part in parts:
            whole.merge(part)
        total = whole.total()
        lower = np.tril_indices(len(whole.names))
        away, cross = [], []
        for part in parts:
            one = part.total()
            step = np.ldexp(dd.subtract(one.mean, total.mean)[0], -total.exponent)
            matrix = chan._rescale(one.cross, one.exponent - total.exponent)
            away.append(step)
            cross.append((matrix + one.weight * np.multiply.outer(step, step))[lower])
        n, weight, logs = np.array([(part.n, part.total().weight, part.log_weight) for part in parts]).T
        return cls(whole.names, whole.target, total, n, weight, logs, np.array(away), np.array(cross))

    def drawn(self, times: Float) -> Iterator[Moments]:
        """Yield the moments of all groups together, each taken so many times, for every row of `times`."""
        q = len(self.names)
        lower = np.tril_indices(q)
        for start in range(0, len(times), _AT_A_TIME):
            some = times[start : start + _AT_A_TIME]
            sums, weights = some @ self.cross, some @ self.weight
            steps = (some * self.weight) @ self.away / weights[:, None]
            for count, row, weight, step, logs in zip(
                some @ self.n, sums, weights, steps, some @ self.log_weight, strict=True
            ):
                cross = np.empty((q, q))
                cross[lower] = row
                cross.T[lower] = row
                cross -= weight * np.multiply.outer(step, step)
                mean = dd.add_float(self.total.mean, np.ldexp(step, self.total.exponent))
                total = chan.Centred(
                    float(weight), float(logs), mean, cross, self.total.exponent, self.total.low, self.total.high
                )
                yield Moments.known(self.names, self.target, total, round(count))


def _resampled(kind: str, model: Estimator, groups: _Groups, times: Float) -> Resampled:
    require(
        model,
        object if callable(model) else Spec,
        f"{kind} takes a model, such as sr.Linear(...), or a function of moments",
    )
    with one_thread(len(groups.names)):
        (whole,) = (_estimate(model, state) for state in groups.drawn(np.ones((1, times.shape[1]))))
        found = [_estimate(model, state) for state in groups.drawn(times)]
    kept = [one for one in found if one.rank == whole.rank]
    if len(kept) < 2:
        raise UsageError(f"only {len(kept)} of {len(found)} replicates determine all coefficients; make larger groups")
    digits = np.min([one.digits for one in (whole, *kept)], axis=0)
    replicates = np.array([one.values for one in kept])
    return Resampled(kind, whole.names, whole.values, replicates, times.shape[1], len(found) - len(kept), digits)


class _Estimate(NamedTuple):
    """Names, numbers, how many coefficients the rows determine, and the digits of the numbers."""

    names: tuple[str, ...]
    values: Float
    rank: int
    digits: Float


def _estimate(model: Estimator, state: Moments) -> _Estimate:
    found = model.fit(state) if isinstance(model, Spec) else model(state)
    if hasattr(found, "candidate"):
        found = found.candidate()
    if isinstance(found, FitResult):
        names, values, digits = found.names, found.coef, found.digits
        if found.has_intercept:
            names, values = ("intercept", *names), np.append(found.intercept, values)
            digits = np.append(found.digits_intercept, digits)
        # A candidate's rank is how many columns it uses, which may differ between replicates.
        return _Estimate(names, values, 0 if found.training.get("candidate") else found.rank, digits)
    values = np.atleast_1d(np.asarray(found, dtype=np.float64)).ravel()
    return _Estimate(tuple(str(k) for k in range(len(values))), values, 0, np.full(len(values), np.nan))
