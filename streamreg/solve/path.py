"""Penalised and non-negative least squares along a path of penalties, from second moments.

Lasso, elastic net and non-negative least squares are solved exactly, by an active set: on a given set of columns and
signs the minimum is one linear solve, and the set changes until the optimality conditions hold. So the digits are those
of a Cholesky solve, and there is no tolerance on a duality gap to choose. The steps are those of Osborne, Presnell &
Turlach (2000, *IMA Journal of Numerical Analysis* 20, section 2) and of Lawson & Hanson (1974, chapter 23).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from streamreg.errors import UsageError
from streamreg.solve import cholesky
from streamreg.solve.choice_digits import LineDigits, line_digits
from streamreg.solve.rank import UNIT
from streamreg.solve.scaled import Scaled, floor, least_squares

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Penalty:
    """A family of penalties, alpha times ``l1_ratio sum|b| + (1 - l1_ratio) / 2 sum b**2``, intercept free.

    It is added to ``rss / (2 W)`` with W the sum of weights, which is scikit-learn's convention.

    Attributes
    ----------
    l1_ratio : float
        1 for the lasso, 0 for ridge.
    standardised : bool
        Whether b are the coefficients of columns divided by their standard deviation (root mean squared deviation).
    nonnegative : bool
    """

    l1_ratio: float = 1.0
    standardised: bool = False
    nonnegative: bool = False

    def weights(self, scaled: Scaled, alpha: float) -> tuple[Float, Float]:
        """Return the weights of ``|b|`` and ``b**2 / 2`` at one alpha, in units of column norms, shape (p,) each."""
        return scaled.penalties(alpha * self.l1_ratio, alpha * (1.0 - self.l1_ratio), self.standardised)

    def digits(self, scaled: Scaled, coef: Float, alpha: float) -> LineDigits:
        """Return the digits of the slopes and the intercept at one alpha; see `line_digits`."""
        l1, l2 = self.weights(scaled, alpha)
        active = self.nonnegative or l1.any()
        used = coef != 0 if active else scaled.live
        # Non-negative slopes have a condition to meet also without a penalty.
        return line_digits(scaled, coef, used, l1 if l1.any() else None, l2, self.nonnegative)

    def greatest(self, scaled: Scaled) -> float:
        """Return lambda_max, the least alpha at which all slopes are zero; infinite for ridge."""
        correlation = scaled.rhs if self.nonnegative else np.abs(scaled.rhs)
        if not correlation.max(initial=0.0) > 0:
            return 0.0
        if not self.l1_ratio:
            return np.inf
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return float(np.max(correlation / self.weights(scaled, 1.0)[0]))

    def grid(self, scaled: Scaled, count: int, smallest: float) -> Float:
        """Return `count` alphas, evenly spaced in the logarithm, from lambda_max down to `smallest` times it.

        Ridge has no lambda_max: from 1 / `smallest` down to `smallest` times the mean variance of the columns.

        Raises
        ------
        UsageError
            They are beyond the range of float64.
        """
        top = self.greatest(scaled)
        if not top > 0:
            return np.zeros(1)
        ratio = smallest
        if not self.l1_ratio:
            variance = 1.0 if self.standardised else float(np.mean(scaled.variances()[scaled.live]))
            top, ratio = variance / smallest, smallest**2
        if not 1e-280 < top < 1e280:
            raise UsageError(
                "penalties are beyond the range of float64 in these units; use standardise=True, or rescale"
            )
        return np.asarray(np.geomspace(top, top * ratio, count))


def solve(scaled: Scaled, penalty: Penalty, alphas: Float) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Solve at each alpha, the greatest first.

    Returns
    -------
    coef : ndarray of shape (m, p)
        In the units of the data. Without a penalty (alpha 0), what `sr.Linear` gives.
    df : ndarray of shape (m,)
        Degrees of freedom of the slopes: the trace of the hat matrix on the columns in use (Zou, Hastie & Tibshirani
        2007, *Annals of Statistics* 35, for the lasso: the number of columns).
    settled : bool ndarray of shape (m,)
        Whether the optimality conditions hold to rounding.

    Notes
    -----
    Cost: for k columns in use, ``k**3 / 3`` operations for each column that enters or leaves, and at least one solve
    for each alpha; ``8 p**2`` bytes.
    """
    p = len(scaled.rhs)
    coef, df, beta = np.zeros((len(alphas), p)), np.zeros(len(alphas)), np.zeros(p)
    settled = np.ones(len(alphas), dtype=bool)
    everything = np.flatnonzero(scaled.live)
    for k, alpha in enumerate(alphas):
        if not alpha and not penalty.nonnegative:
            free = cholesky.solve(scaled.problem)
            coef[k], df[k] = free.coef, free.rank
            continue
        l1, l2 = penalty.weights(scaled, alpha)
        hessian = scaled.gram + np.diag(l2)
        if penalty.nonnegative or l1.any():
            beta, settled[k] = active_set(hessian, scaled.rhs, l1, beta, penalty.nonnegative)
            used = np.flatnonzero(beta)
        else:
            used, beta = everything, np.zeros(p)
            beta[used] = least_squares(hessian[np.ix_(used, used)], scaled.rhs[used])
        coef[k] = scaled.coefficients(beta)
        # Columns in use are independent, so without ridge each counts as one.
        df[k] = len(used) - (_shrunk(hessian[np.ix_(used, used)], l2[used]) if l2.any() else 0.0)
    return coef, df, settled


def _shrunk(hessian: Float, l2: Float) -> float:
    """Return the trace of ``H**-1 diag(l2)``: what a ridge penalty takes off the degrees of freedom."""
    if not len(l2):
        return 0.0
    factor, _, info = lapack.dposv(hessian, l2, lower=1)
    if info == 0:
        return float(l2 @ np.diag(lapack.dpotri(factor, lower=1)[0]))
    return float(l2 @ np.diag(np.linalg.pinv(hessian, hermitian=True)))


def active_set(hessian: Float, rhs: Float, l1: Float, start: Float, nonnegative: bool) -> tuple[Float, bool]:
    """Minimise ``b'Hb / 2 - b'g + sum l1 |b|``, with b >= 0 if `nonnegative`.

    Every step lowers the objective on one of finitely many sets, so it ends; where columns are dependent, at one of the
    minimisers, on independent columns. Returns b, and whether it got there before rounding made it turn in circles.

    Parameters
    ----------
    hessian : ndarray of shape (p, p)
        Its diagonal may be zero, for columns that are left alone.
    rhs, l1, start : ndarrays of shape (p,)
        `start` is changed.
    nonnegative : bool
    """
    state = _Active(hessian, rhs, l1, start, np.sign(start), list(np.flatnonzero(start)))
    barred: set[int] = set()
    for _ in range(20 * len(rhs) + 100):
        moved, entered = state.settle()
        if moved:
            barred.clear()
        elif entered is not None:
            barred.add(entered)
        excess = state.excess(nonnegative)
        excess[[*state.order, *barred]] = -np.inf
        new = np.flatnonzero(excess > 0)
        if not len(new):
            return state.beta, True
        if not state.enter_all(new):
            state.enter(int(np.argmax(excess)))
    return state.beta, False


@dataclass(slots=True)
class _Active:
    """The columns in use, in the order in which they came, with their signs."""

    hessian: Float
    rhs: Float
    l1: Float
    beta: Float
    sign: Float
    order: list[int]
    entered: int | None = None
    ready: Float | None = None

    def excess(self, nonnegative: bool) -> Float:
        """Return by how much each column out of use violates its optimality condition, beyond rounding."""
        gradient = self.rhs - self.hessian[:, self.order] @ self.beta[self.order]
        size = gradient if nonnegative else np.abs(gradient)
        rounding = 4.0 * (len(self.order) + 4) * UNIT * (1.0 + np.abs(self.beta).sum())
        self.sign[self.beta == 0] = np.sign(gradient[self.beta == 0])
        found: Float = np.where(np.diag(self.hessian) > 0, size - self.l1 * (1.0 + 4.0 * UNIT) - rounding, -np.inf)
        return found

    def enter(self, column: int) -> None:
        """Take in one column; if it is the one that violates most, it moves with the sign of its gradient."""
        self.order.append(column)
        self.entered = column

    def enter_all(self, columns: NDArray[np.int64]) -> bool:
        """Take in those of the columns that then move with the signs of their gradients; whether there are any."""
        new = [int(column) for column in columns]
        while len(new) > 1:
            order = [*self.order, *new]
            target, dependent = self._minimum(order)
            if dependent is not None:
                if dependent < len(self.order):
                    return False
                new.pop(dependent - len(self.order))
                continue
            right = (target * self.sign[order] > 0)[len(self.order) :]
            if right.all():
                self.order, self.entered, self.ready = order, None, target
                return True
            new = [column for column, moves in zip(new, right, strict=True) if moves]
        return False

    def settle(self) -> tuple[bool, int | None]:
        """Go to the minimum on the columns in use, dropping those that reach zero on the way.

        Returns whether any coefficient moved, and which column had just come in.
        """
        moved, entered, self.entered = False, self.entered, None
        while self.order:
            target, dependent = self._minimum(self.order) if self.ready is None else (self.ready, None)
            self.ready = None
            here = self.beta[self.order]
            step = target - here if dependent is None else self._free_direction(dependent)
            turning = step * self.sign[self.order] < 0
            if dependent is None:
                turning &= target * self.sign[self.order] <= 0
                if not turning.any():
                    self.beta[self.order] = target
                    return True, entered
            elif not turning.any():
                step, turning[dependent] = -step, True
            reach = np.full(len(step), np.inf)
            reach[turning] = -here[turning] / step[turning]
            first = int(np.argmin(reach))
            moved |= bool(reach[first] > 0)
            self.beta[self.order] = here + reach[first] * step
            self.beta[self.order.pop(first)] = 0.0
        return moved, entered

    def _minimum(self, order: list[int]) -> tuple[Float, int | None]:
        """Return the minimum for the present signs, and the position of the first column that depends on others."""
        inner = self.hessian[np.ix_(order, order)]
        factor, found, info = lapack.dposv(inner, self.rhs[order] - self.l1[order] * self.sign[order], lower=1)
        limit = floor(len(order)) * np.diag(inner)
        done = info - 1 if info > 0 else len(order)
        low = np.flatnonzero(np.diag(factor)[:done] ** 2 <= limit[:done])
        if len(low):
            return found, int(low[0])
        return found, done if done < len(order) else None

    def _free_direction(self, dependent: int) -> Float:
        """Return the way along which only the penalty changes, pointing downhill; shape of `order`."""
        before, column = self.order[:dependent], self.order[dependent]
        step = np.zeros(len(self.order))
        step[:dependent] = -least_squares(self.hessian[np.ix_(before, before)], self.hessian[before, column])
        step[dependent] = 1.0
        if self.beta[column] == 0:
            return np.asarray(step * self.sign[column])
        gain = float((self.rhs[self.order] - self.l1[self.order] * self.sign[self.order]) @ step)
        return step if gain >= 0 else -step
