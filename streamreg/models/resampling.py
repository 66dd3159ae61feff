"""Jackknife and bootstrap from the moments of groups of rows: no row is read again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError, require, typed
from streamreg.kernels import doubledouble as dd
from streamreg.kernels.blas import one_thread
from streamreg.models.base import Model
from streamreg.results.base import FitResult
from streamreg.results.instruments import InstrumentFit
from streamreg.results.resampled import Resampled
from streamreg.scans import scan
from streamreg.stats import chan
from streamreg.stats.moments import Moments

Float = NDArray[np.float64]

Estimator = Model | Callable[[Moments], Any]
"""A model that takes moments, or a function of moments that returns numbers."""

_AT_A_TIME = 64


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
    provenance: dict[str, Any]

    @classmethod
    def of(cls, data: Any) -> Self:
        held = scan.opened(data)
        parts = [part for part in scan.folds(held).values() if part.n]
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
        provenance = {} if held.record is None else held.record.account()
        return cls(whole.names, whole.target, total, n, weight, logs, np.array(away), np.array(cross), provenance)

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
        object if callable(model) else Model,
        f"{kind} takes a model, such as sr.Linear(...), or a function of moments",
    )
    with one_thread(len(groups.names)):
        (whole,) = (_estimate(model, state) for state in groups.drawn(np.ones((1, times.shape[1]))))
        found = [_estimate(model, state) for state in groups.drawn(times)]
    full = [one for one in found if one.rank == whole.rank]
    if len(full) < 2:
        raise UsageError(f"only {len(full)} of {len(found)} replicates determine all coefficients; make larger groups")
    digits = np.min([one.digits for one in (whole, *full)], axis=0)
    replicates = np.array([one.values for one in full])
    return Resampled(
        kind,
        whole.names,
        whole.values,
        replicates,
        times.shape[1],
        len(found) - len(full),
        digits,
        groups.provenance,
    )


class _Estimate(NamedTuple):
    """Names, numbers, how many coefficients the rows determine, and the digits of the numbers."""

    names: tuple[str, ...]
    values: Float
    rank: int
    digits: Float


def _estimate(model: Estimator, state: Moments) -> _Estimate:
    found = model.fit(state) if isinstance(model, Model) else model(state)
    if hasattr(found, "candidate"):
        found = found.candidate()
    if isinstance(found, FitResult):
        names, values, digits = found.names, found.coef, found.digits
        if found.has_intercept:
            names, values = ("intercept", *names), np.append(found.intercept, values)
            digits = np.append(found.digits_intercept, digits)
        # A candidate's rank is how many columns it uses, which may differ between replicates.
        return _Estimate(names, values, 0 if found.training.get("candidate") else found.rank, digits)
    if isinstance(found, InstrumentFit):
        names, values, digits = found.names, found.coef, found.digits
        if found.has_intercept:
            names, values, digits = ("intercept", *names), np.append(found.intercept, values), np.append(np.nan, digits)
        return _Estimate(names, values, len(found.names), digits)
    values = np.atleast_1d(np.asarray(found, dtype=np.float64)).ravel()
    return _Estimate(tuple(str(k) for k in range(len(values))), values, 0, np.full(len(values), np.nan))
