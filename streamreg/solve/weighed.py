"""Penalties of a likelihood: those of a line, on the least-squares problem of a step whose weights are others."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.problem import Problem
from streamreg.solve.path import Penalty
from streamreg.solve.scaled import Scaled

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weighed(Penalty):
    """A `Penalty` whose alpha has a factor for each column.

    The loss of a step is half of a sum of squares that are weighed by the information, not by the rows' own weights of
    which the sum is W; and columns are standardised by the latter.

    Attributes
    ----------
    first, second : ndarrays of shape (p,)
        Of ``|b|`` and of ``b**2 / 2``.
    """

    first: Float = field(default_factory=lambda: np.ones(1))
    second: Float = field(default_factory=lambda: np.ones(1))

    @classmethod
    def of(cls, penalty: Penalty, spread: Float, share: float, square: float | None = None) -> "Weighed":
        """Return the penalty for a problem of other weights.

        Parameters
        ----------
        penalty : Penalty
        spread : ndarray of shape (p,)
            What a slope is multiplied by before it is penalised.
        share, square : float
            W over the problem's sum of weights; and the factor for squares, if it is another one.
        """
        both = share * spread, (share if square is None else square) * spread * spread
        return cls(penalty.l1_ratio, False, penalty.nonnegative, *both)

    def weights(self, scaled: Scaled, alpha: float) -> tuple[Float, Float]:
        """Return the weights of ``|b|`` and ``b**2 / 2`` at one alpha, in units of column norms, shape (p,) each."""
        l1, l2 = scaled.penalties(alpha * self.l1_ratio, alpha * (1.0 - self.l1_ratio), False)
        return l1 * self.first, l2 * self.second


def worked(problem: Problem, centre: Float, coef: Float, level: float) -> Problem:
    """Return the least-squares problem of the working response, from that of the working residual.

    The response is the predictor plus the residual, so the solution is the new predictor itself and not a step to it.

    Parameters
    ----------
    problem : Problem
        Its target is the working residual at a predictor.
    centre, coef : ndarrays of shape (p,)
    level : float
        The predictor is ``level + (x - centre)'coef``.
    """
    p = len(problem.names)
    cross, mean = problem.cross.copy(), [part.copy() for part in problem.mean]
    slopes = np.ldexp(coef, problem.exponent[:p])
    moved = problem.cross[:p, :p] @ slopes
    score = problem.cross[:p, p]
    rest = problem.cross[p, p] - (mean[0][p] ** 2 * problem.weight if problem.intercept else 0.0)
    cross[p, p] = max(rest + 2.0 * float(slopes @ score) + float(slopes @ moved), 0.0)
    cross[:p, p] = cross[p, :p] = score + moved
    if problem.intercept:
        apart = dd.add_float(dd.take(problem.mean, slice(p)), -centre)
        value = dd.add_float(dd.add(dd.dot(apart, dd.from_float(coef)), dd.take(problem.mean, p)), level)
        mean[0][p], mean[1][p] = value
    return replace(problem, cross=cross, mean=(mean[0], mean[1]))
