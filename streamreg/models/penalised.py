"""Ridge, lasso, elastic net and non-negative least squares, all penalties of a path from one scan."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from streamreg.models.candidates import Choice
from streamreg.problem import Problem
from streamreg.results.selection import PenaltyPath
from streamreg.solve import path
from streamreg.solve.scaled import Scaled
from streamreg.stats.moments import Moments

Float = NDArray[np.float64]
Alpha = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Penalised(Choice[PenaltyPath]):
    """Penalised least squares along a path: lasso, elastic net, ridge; optionally with slopes that are not negative.

    Each line minimises ``rss / (2 W) + alpha (l1_ratio sum|b| + (1 - l1_ratio) / 2 sum b**2)``, where rss is weighted,
    W is the sum of weights (the number of rows without them), and the intercept is free. This is the convention of
    scikit-learn's ``Lasso`` and ``ElasticNet``; its ``Ridge(alpha)``, and ``sr.Linear(ridge=alpha)``, is ``alpha / W``
    here.

    Parameters
    ----------
    l1_ratio : float
        1: lasso. 0: ridge. Between: elastic net.
    alphas : int or tuple of float
        The penalties, or how many: evenly spaced in the logarithm from lambda_max, at which all slopes are zero, down
        to `eps` times it; for ridge, from 1 / `eps` to `eps` times the mean variance of the columns. 0
        stands for none: ``Penalised(nonnegative=True, alphas=(0,))`` is non-negative least squares.
    eps : float
        Ratio of the least penalty to lambda_max.
    standardise : bool
        Penalise the slopes of columns divided by their standard deviation (the root of the mean squared deviation, as
        scikit-learn's ``StandardScaler`` and glmnet compute it), instead of those in the units of the data. Slopes are
        returned in the units of the data either way.
    nonnegative : bool
        Only slopes of zero and above.
    intercept, features, target, missing, weight_kind
        As in `sr.Linear`.

    Notes
    -----
    Where columns are dependent, or there are fewer rows than columns, lasso paths are one of the minimisers: fitted
    values are unique, and slopes unless columns tie exactly. Constant columns get slope 0. Solved exactly on the active
    set, hence no tolerance: see `streamreg.solve.path`.
    """

    l1_ratio: float = Field(default=1.0, ge=0.0, le=1.0)
    alphas: Annotated[int, Field(ge=1, le=100_000)] | tuple[Alpha, ...] = 100
    eps: float = Field(default=1e-3, gt=0.0, lt=1.0)
    standardise: bool = False
    nonnegative: bool = False

    @property
    def _penalty(self) -> path.Penalty:
        return path.Penalty(self.l1_ratio, self.standardise, self.nonnegative)

    def _fit(self, problem: Problem, moments: Moments) -> PenaltyPath:
        scaled = Scaled.of(problem)
        if isinstance(self.alphas, int):
            alphas = self._penalty.grid(scaled, self.alphas, self.eps)
        else:
            alphas = np.unique(np.array(self.alphas, dtype=np.float64))[::-1].copy()
        coef, df, settled = path.solve(scaled, self._penalty, alphas)
        digits = [self._penalty.digits(scaled, slopes, alpha) for slopes, alpha in zip(coef, alphas, strict=True)]
        common = self._common(scaled, moments, coef, df, digits)
        if not settled.all():
            common["status"] = (
                f"rounding kept alpha {alphas[~settled][0]:.6g} from settling; its slopes are approximate"
            )
        return PenaltyPath(**common, alphas=alphas, lambda_max=self._penalty.greatest(scaled))

    def _again(self, problem: Problem, found: PenaltyPath) -> Float:
        return path.solve(Scaled.of(problem), self._penalty, found.alphas)[0]
