"""Cross-validation from the moments of folds: no row is read, and no moments are subtracted."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError
from streamreg.kernels import doubledouble as dd
from streamreg.problem import Problem
from streamreg.scans import scan
from streamreg.solve.scaled import Scaled
from streamreg.stats.base import Statistic
from streamreg.stats.moments import Moments

Float = NDArray[np.float64]


def as_folds(folds: Any) -> list[Moments]:
    """Return the folds that hold rows, as a list.

    Parameters
    ----------
    folds : Grouped, path of a file of moments, dict of any to Moments, or sequence of Moments

    Raises
    ------
    UsageError
        Fewer than two of them, or they are not moments of the same columns.
    """
    if isinstance(folds, Statistic | str | os.PathLike):
        folds = scan.folds(folds)  # type: ignore[arg-type]  # refused there if it is no scan
    if not isinstance(folds, Mapping | Sequence):
        raise UsageError(
            f"cross-validation takes the moments of folds, sr.scan(data, folds=10), and not a {type(folds).__name__}"
        )
    parts = list(folds.values()) if isinstance(folds, Mapping) else list(folds)
    for part in parts:
        if not isinstance(part, Moments):
            raise UsageError(f"a fold is given as its Moments, not as {type(part).__name__}; scan each fold")
        if part.names != parts[0].names:
            raise UsageError("the folds hold different columns; scan all of them with the same design")
    parts = [part for part in parts if part.n]
    if len(parts) < 2:
        raise UsageError(f"cross-validation needs two folds or more that hold rows; there are {len(parts)}")
    return parts


def merged(parts: Sequence[Moments]) -> Moments:
    """Return the moments of all rows of `parts`, which are not changed."""
    whole = parts[0].fresh()
    for part in parts:
        whole.merge(part)
    return whole


def training(folds: Sequence[Moments]) -> Iterator[Moments]:
    """Yield, for each fold, the moments of all others.

    Notes
    -----
    Cost: three merges for each fold, ``8 k q**2`` bytes for k folds: what comes before a fold and what comes after it
    are each built up once.
    """
    after = [folds[-1]]
    for part in folds[-2:0:-1]:
        after.append(merged([part, after[-1]]))
    before: Moments | None = None
    for part in folds:
        rest = after.pop() if after else None
        yield merged([state for state in (before, rest) if state is not None])
        before = part if before is None else merged([before, part])


def held_out(problem: Problem, train: Problem, coef: Float) -> Float:
    """Return the squared error of lines, fitted to `train`, on the rows of `problem`; shape (m,).

    ``sum w (y - b0 - x'b)**2 = rss about the fold's means + W (error at the fold's means)**2``, and the means of the
    two sets of rows are subtracted in double-double, so an offset of the data costs no digits.

    Parameters
    ----------
    problem, train : Problem
        Of the same columns.
    coef : ndarray of shape (m, p)
        Slopes in the units of the data; the intercepts are those that make ``train``'s residuals sum to zero.
    """
    rss = Scaled.of(problem).rss(coef)
    if not problem.intercept:
        return rss
    apart = dd.subtract(problem.mean, train.mean)[0]
    return np.asarray(rss + problem.weight * (apart[-1] - coef @ apart[:-1]) ** 2)


def errors(
    folds: Sequence[Moments], pose: Callable[[Moments], Problem], solve: Callable[[Problem], Float]
) -> tuple[Float, Float]:
    """Return the mean squared error of each candidate on each fold, and the weights of the folds.

    Parameters
    ----------
    folds : sequence of Moments
    pose : callable
        Poses the regression.
    solve : callable
        Returns the slopes of all candidates, shape (m, p).

    Returns
    -------
    errors : ndarray of shape (m, k)
    weights : ndarray of shape (k,)
    """
    columns, weights = [], []
    for fold, rest in zip(folds, training(folds), strict=True):
        problem, train = pose(fold), pose(rest)
        columns.append(held_out(problem, train, solve(train)) / problem.weight)
        weights.append(problem.weight)
    return np.stack(columns, axis=1), np.array(weights)
