"""Moments of one step of iteratively reweighted least squares: everything Newton's method asks of the rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError
from streamreg.families import family
from streamreg.kernels import doubledouble as dd
from streamreg.kernels.rows import Rows
from streamreg.line import Line
from streamreg.problem import Problem
from streamreg.stats.base import Statistic
from streamreg.stats.facts import Facts
from streamreg.stats.moments import Moments
from streamreg.stats.response import Response
from streamreg.stats.tree import BlockTree, unchanged

Float = NDArray[np.float64]

# Rows whose variance is below this share of the null model's count in the information as if it were this.
_LEAST = 2.0**-100
_FACTS = 10  # sums that are facts of the rows alone, before those for each column


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Sums over the rows at a linear predictor.

    Attributes
    ----------
    weight : float
        The rows' own weights.
    deviance, null_deviance : float
        At the predictor, and at the mean of the target.
    saturated : float
        Log-likelihood of a perfect fit.
    rss, tss : float
        Squared errors of the mean, and about the mean of the target.
    opposed, reach : float
        The most that a row opposes the last move (see `Family.violation`), and the most that a row moved.
    misfit : float
        The most that a row opposes the predictor itself: not positive if it separates the labels.
    null_score, null_information : float
        Of the constant of the null model, where rows have offsets; else 0.
    """

    weight: float
    deviance: float
    null_deviance: float
    saturated: float
    rss: float
    tss: float
    null_score: float
    null_information: float
    opposed: float
    reach: float
    misfit: float


class WorkingMoments(Statistic):
    """Score and Fisher information of a linear predictor, and the likelihood there.

    The information ``sum w variance x x'`` is kept as weighted `Moments` of the features, the score
    ``sum w (y - mean) x`` apart from it, in double-double across blocks: together they give the Newton step as a
    correction whose rounding errors are relative to the standard errors, whatever the coefficients are (McCullagh &
    Nelder 1989, *Generalized Linear Models*, section 2.5).

    Parameters
    ----------
    names : sequence of str
        The p features, then the target.
    family : str
    at : Line
    null_mean : float
        Mean of the target in a model without features.
    move : Line, optional
        The step that led here, with the same centre.
    device : str, optional
        Where the products of the information are taken; see `Moments`.
    whitening : ndarray of shape (p, p) or (p,), optional
        A matrix that makes nearly dependent columns, centred, independent; or the scale of each: see `reach`.

    frequency : bool, optional
        What weights mean: with it, `facts` of the rows are found as well.

    Notes
    -----
    Cost: one pass, ``p**2 + 8 p`` multiplications (``p**2`` more with whitening) and three exponentials or logarithms
    a row, ``8 p**2`` bytes for each level of the tree.
    """

    def __init__(
        self,
        names: Sequence[str],
        family: str,
        at: Line,
        null_mean: float,
        move: Line | None = None,
        device: str | None = None,
        whitening: Float | None = None,
        frequency: bool | None = None,
    ) -> None:
        self.names, self.family, self.at, self.null_mean, self.move = tuple(names), family, at, null_mean, move
        self._device, self._frequency = device, frequency
        self.facts = None if frequency is None else Facts(frequency)
        self._whitening = np.zeros(len(self.names) - 1) if whitening is None else whitening
        self.moments = Moments(self.names, device=device)  # its target column is empty
        self.block_rows = self.moments.block_rows
        self._tree: BlockTree[dd.DD] = BlockTree(dd.add, unchanged)
        self._most = np.full(5, -np.inf)

    def fresh(self) -> Self:
        """Return an empty statistic about the same predictor."""
        return type(self)(
            self.names, self.family, self.at, self.null_mean, self.move, self._device, self._whitening, self._frequency
        )

    def settle(self) -> None:
        """Finish the products of the information."""
        self.moments.settle()

    def problem(self, intercept: bool, ridge: float = 0.0) -> Problem:
        """Pose the least-squares problem whose solution is the Newton step. No rows are read.

        Its target is the working residual ``(y - mean) / variance``. `ridge` is added to the information, and
        ``ridge * coef`` taken from the score: the derivatives of half of ``deviance + ridge * sum(coef**2)``.
        """
        problem = self.moments.problem(self.names[-1], None, intercept)
        sums = self._tree.total()
        p = len(self.names) - 1
        level, score = dd.take(sums, _FACTS - 1), dd.take(sums, slice(_FACTS, _FACTS + p))
        mean = [part.copy() for part in problem.mean]
        if intercept:
            weight = dd.from_float(problem.weight)
            mean[0][p], mean[1][p] = dd.divide(level, weight)
            apart = dd.add_float(dd.take(problem.mean, slice(p)), -self.at.centre)
            score = dd.subtract(score, dd.multiply(apart, level))
        if ridge:
            score = dd.subtract(score, dd.multiply(dd.from_float(self.at.coef), dd.from_float(ridge)))
        cross = problem.cross.copy()
        cross[:p, p] = cross[p, :p] = np.ldexp(score[0], -problem.exponent[:p])
        cross[p, p] = sums[0][_FACTS - 2]
        return replace(problem, cross=cross, mean=(mean[0], mean[1]), ridge=ridge)

    def rounding(self) -> Float:
        """Return a bound of the rounding errors of the score, in units of 2**-53, shape (p,)."""
        return self._tree.total()[0][_FACTS + len(self.names) - 1 :]

    def spans(self) -> Float:
        """Return how far each feature goes from the predictor's centre, shape (p,)."""
        total = self.moments.total()
        low, high = total.low[:-1], total.high[:-1]
        return np.maximum(np.abs(low - self.at.centre), np.abs(high - self.at.centre))

    def reach(self, move: Line) -> float:
        """Return a bound of how far a move changes the linear predictor of any row.

        It comes from the columns' ranges or, as many columns are not all at the ends of theirs in one row, from the
        greatest norm of a scaled or whitened row (the inequality of Cauchy and Schwarz).
        """
        bound, scale = float(self.spans() @ np.abs(move.coef)), self._whitening
        if scale.ndim == 2:
            bound = min(bound, float(self._most[3] * np.linalg.norm(np.linalg.solve(scale, move.coef))))
        elif (scale > 0).all():
            bound = min(bound, float(self._most[3] * np.linalg.norm(move.coef / scale)))
        return float(max(self._most[4], 1.0)) * (float(abs(move.at)) + bound)

    def pearson(self) -> float:
        """Return Pearson's statistic: the squared scores over their information, summed."""
        return float(self._tree.total()[0][_FACTS - 2])

    def likelihood(self) -> Likelihood:
        """Return the sums over all rows."""
        sums = self._tree.total()[0]
        return Likelihood(*(float(value) for value in (*sums[: _FACTS - 2], *self._most[:3])))

    def _absorb(self, batch: Batch) -> None:
        facts = family(self.family)
        found = Response.of(batch, facts, self.names[-1])
        y, prior = found.y, found.prior
        if self.facts is not None:
            self.facts.absorb(batch, facts, found, batch.start // self.block_rows)
        rows = Rows(batch.x, self.at.centre, batch.low)
        moves = [] if self.move is None else [self.move.coef]
        diagonal = self._whitening.ndim == 1
        lines = rows.lines(np.array([self.at.coef, *moves]), self._whitening if diagonal else np.ones(rows.x.shape[1]))
        line = lines[0] + self.at.at
        eta = line if found.offset is None else line + found.offset
        null = np.full(len(y), facts.linked(self.null_mean))
        residual, variance = facts.score(y, eta)
        level = np.zeros((2, len(y)))
        null_mean: Any = self.null_mean
        if found.offset is not None:
            null = null + found.offset
            null_mean, level = facts.mean(null), np.array(facts.score(y, null))
        least = float(facts.information(np.array([self.null_mean]))[0])
        variance = np.maximum(variance, _LEAST * (least if 0 < least < np.inf else 1.0))
        signed = prior * residual
        both = rows.sums(signed, prior * (np.abs(residual) + variance * np.abs(eta)))
        sums = [
            found.own.sum(),
            *(
                prior @ column
                for column in (
                    facts.deviance(y, eta),
                    facts.deviance(y, null),
                    facts.saturated(y),
                    (y - facts.mean(eta)) ** 2,
                    (y - null_mean) ** 2,
                    *level,
                    residual**2 / variance,
                    residual,
                )
            ),
            *both.reshape(-1),
        ]
        most = [-np.inf, 0.0, facts.violation(y, line).max(), 0.0, facts.stiffness(y, eta).max()]
        far = lines[-1] if diagonal else ((rows.centred() @ self._whitening) ** 2).sum(axis=1)
        most[3] = np.sqrt(far.max())
        if self.move is not None:
            moved = lines[1] + self.move.at
            most[:2] = facts.violation(y, moved).max(), np.abs(moved).max()
        self._most = np.maximum(self._most, most)
        self._tree.push(batch.start // self.block_rows, dd.from_float(np.array(sums)))
        information = prior * variance
        self.moments.update(
            Batch(batch.x, np.zeros(len(y)), information, batch.start, batch.read, batch.missing, batch.low)
        )

    def _join(self, other: Self) -> None:
        if other.names != self.names or not np.array_equal(other.at.coef, self.at.coef):
            raise DataError("working moments about different predictors do not merge")
        self.moments.merge(other.moments)
        self._tree.join(other._tree.nodes)
        self._most = np.maximum(self._most, other._most)
        if self.facts is not None and other.facts is not None:
            self.facts.join(other.facts)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays: those of the moments, and one row of sums for each node of the tree."""
        meta = {
            "names": self.names,
            "family": self.family,
            "null_mean": self.null_mean,
            "n": self.n,
            "n_read": self.n_read,
            "n_missing": self.n_missing,
        }
        lines = [self.at] if self.move is None else [self.at, self.move]
        nodes = self._tree.nodes
        known = {} if self.facts is None else self.facts.to_arrays()
        return (
            known
            | {f"moments.{name}": array for name, array in self.moments.to_arrays().items()}
            | {
                "meta": np.array(json.dumps(meta)),
                "centre": self.at.centre,
                "lines": np.array([[*line.coef, line.at] for line in lines]),
                "place": np.array([place for *place, _ in nodes], dtype=np.int64).reshape(-1, 2),
                "sums": np.array([sums for *_, sums in nodes]).reshape(-1, 2, _FACTS + 2 * len(self.names) - 2),
                "most": self._most,
            }
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        meta = json.loads(str(arrays["meta"]))
        lines = [Line(arrays["centre"], line[:-1], float(line[-1])) for line in arrays["lines"]]
        move = lines[1] if len(lines) > 1 else None
        self = cls(meta["names"], meta["family"], lines[0], meta["null_mean"], move)
        self.n, self.n_read, self.n_missing = meta["n"], meta["n_read"], meta["n_missing"]
        inner = {name.removeprefix("moments."): a for name, a in arrays.items() if name.startswith("moments.")}
        self.moments = Moments.from_arrays(inner)
        pairs = zip(arrays["place"].tolist(), arrays["sums"], strict=True)
        self._tree.join((level, index, (high, low)) for (level, index), (high, low) in pairs)
        self._most = arrays["most"].copy()
        self.facts = Facts.from_arrays(arrays) if "facts.n" in arrays else None
        return self
