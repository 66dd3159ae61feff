"""Least squares without and with a penalty."""

from typing import Any, Self

from streamreg.models.linear import Linear
from streamreg.models.penalised import Penalised
from streamreg.results.base import FitResult
from streamreg.scans.merge import merge
from streamreg.scans.scan import scan
from streamreg.sklearn.base import StreamingRegressor, is_stored
from streamreg.stats.moments import Moments


class LeastSquares(StreamingRegressor):
    """Base of the estimators for which the moments of the rows suffice, so that rows can be added."""

    moments_: Moments

    def _fit(self, data: Any) -> FitResult:
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit to these rows alone.

        Parameters
        ----------
        X : array-like of shape (n, p), path or Source
        y : array-like of shape (n,), or the name of a column of a path or source
        sample_weight : likewise, optional
        """
        data = self._opened(X, y, sample_weight)
        self.__dict__.pop("moments_", None)
        return self._found(self._fit(data), is_stored(X))

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Add rows to those of earlier calls: the result is that of one fit to all of them, up to rounding.

        Parameters are those of `fit`. The coefficients have the digits that moments in float64 give.
        """
        known = getattr(self, "moments_", None)
        added = scan(self._opened(X, y, sample_weight, reset=known is None))
        self.moments_ = added if known is None else merge(known, added)
        return self._found(self._fit(self.moments_), is_stored(X))


class LinearRegression(LeastSquares):
    """Ordinary least squares, as `sklearn.linear_model.LinearRegression`; columns of any scale count.

    Parameters
    ----------
    fit_intercept : bool
    positive : bool
        Only coefficients of zero and above. They have no standard errors.
    """

    def __init__(self, *, fit_intercept: bool = True, positive: bool = False) -> None:
        self.fit_intercept, self.positive = fit_intercept, positive

    def _fit(self, data: Any) -> FitResult:
        if self.positive:
            return Penalised(nonnegative=True, alphas=(0.0,), intercept=self.fit_intercept).fit(data).candidate(0)
        return Linear(intercept=self.fit_intercept).fit(data)


class Ridge(LeastSquares):
    """Least squares with ``alpha * sum(coef**2)`` added, as `sklearn.linear_model.Ridge`.

    Parameters
    ----------
    alpha : float
    fit_intercept : bool
    """

    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True) -> None:
        self.alpha, self.fit_intercept = alpha, fit_intercept

    def _fit(self, data: Any) -> FitResult:
        return Linear(ridge=self.alpha, intercept=self.fit_intercept).fit(data)


class ElasticNet(LeastSquares):
    """Least squares with both penalties, as `sklearn.linear_model.ElasticNet`; exact, so without a tolerance.

    Parameters
    ----------
    alpha, l1_ratio : float
        ``rss / (2 n) + alpha * (l1_ratio * sum(abs(coef)) + (1 - l1_ratio) / 2 * sum(coef**2))`` is made least.
    fit_intercept : bool
    positive : bool
        Only coefficients of zero and above.
    """

    def __init__(
        self, alpha: float = 1.0, *, l1_ratio: float = 0.5, fit_intercept: bool = True, positive: bool = False
    ) -> None:
        self.alpha, self.l1_ratio, self.fit_intercept, self.positive = alpha, l1_ratio, fit_intercept, positive

    def _fit(self, data: Any) -> FitResult:
        model = Penalised(
            l1_ratio=self.l1_ratio, alphas=(self.alpha,), intercept=self.fit_intercept, nonnegative=self.positive
        )
        return model.fit(data).candidate(0)


class Lasso(ElasticNet):
    """Least squares with ``alpha * sum(abs(coef))`` added to half of the mean squared error, as scikit-learn's `Lasso`.

    Parameters
    ----------
    alpha : float
    fit_intercept : bool
    positive : bool
        Only coefficients of zero and above.
    """

    l1_ratio = 1.0

    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True, positive: bool = False) -> None:
        self.alpha, self.fit_intercept, self.positive = alpha, fit_intercept, positive
