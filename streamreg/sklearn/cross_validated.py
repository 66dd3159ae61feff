"""Penalties chosen by cross-validation, from the moments of the folds."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from sklearn.model_selection import check_cv

from streamreg.errors import UsageError
from streamreg.models import cross_validation
from streamreg.models.linear import Linear
from streamreg.models.penalised import Penalised
from streamreg.scans.scan import folds, scan
from streamreg.sklearn.base import Float, StreamingRegressor, is_stored
from streamreg.stats.moments import Moments

Split = tuple[Moments, Moments]
_STORED = 10  # folds of a file, whose rows are not held in memory to be split


class CrossValidated(StreamingRegressor):
    """Base of the estimators that choose a penalty.

    Of arrays the folds are those of scikit-learn's `cv`; of a path or source they are made by a hash of the row number,
    `cv` of them or 10, and the rows are read once.
    """

    cv: Any
    fit_intercept: bool

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit to all rows, with the best penalty.

        Parameters
        ----------
        X : array-like of shape (n, p), path or Source
        y : array-like of shape (n,), or the name of a column of a path or source
        sample_weight : likewise, optional
        """
        if is_stored(X):
            if not isinstance(self.cv, int | None):
                raise UsageError(f"cv is {self.cv!r}; of a path or source it is a number of folds")
            grouped = scan(self._of_columns(X, y, sample_weight), folds=self.cv or _STORED)
            parts = cross_validation.as_folds(folds(grouped))
            tests, whole = parts, cross_validation.merged(parts)
            self._choose(whole, list(zip(cross_validation.training(parts), tests, strict=True)))
        else:
            self._of_arrays(*self._checked(X, y, sample_weight))
        return self

    def _of_arrays(self, X: Float, y: Float, weight: Float | None) -> None:
        splits = list(self._splits(X, y, weight))
        self._choose(scan(self._source(X, y, weight)), splits)

    def _splits(self, X: Float, y: Float, weight: Float | None) -> Iterator[Split]:
        for rows in check_cv(self.cv).split(X, y):
            train, test = (
                scan(self._source(X[some], y[some], None if weight is None else weight[some])) for some in rows
            )
            yield train, test

    def _choose(self, whole: Moments, splits: Sequence[Split]) -> None:
        raise NotImplementedError

    def _errors(self, splits: Sequence[Split], slopes: Callable[[Moments], Float]) -> Float:
        """Return the mean squared error of each candidate on each test set, shape (m, number of splits)."""
        columns = []
        for train, test in splits:
            held, rest = (part.problem(part.explained(None), None, self.fit_intercept) for part in (test, train))
            columns.append(cross_validation.held_out(held, rest, slopes(train)) / held.weight)
        return np.column_stack(columns)


class ElasticNetCV(CrossValidated):
    """`ElasticNet` whose alpha and l1_ratio are chosen by cross-validation, as in scikit-learn.

    Parameters
    ----------
    l1_ratio : float or list of float
    eps : float
        The least alpha, as a share of the least at which all slopes are zero.
    alphas : int or array-like
        The penalties to choose from, or how many.
    fit_intercept : bool
    cv : int, splitter or iterable, optional
    positive : bool

    Attributes
    ----------
    alpha_, l1_ratio_ : float
    alphas_ : ndarray
    mse_path_ : ndarray of shape (number of alphas, number of folds), of each l1_ratio if there are several
    """

    def __init__(
        self,
        *,
        l1_ratio: Any = 0.5,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        cv: Any = None,
        positive: bool = False,
    ) -> None:
        self.l1_ratio, self.eps, self.alphas, self.fit_intercept = l1_ratio, eps, alphas, fit_intercept
        self.cv, self.positive = cv, positive

    def _choose(self, whole: Moments, splits: Sequence[Split]) -> None:
        ratios = np.atleast_1d(np.asarray(self.l1_ratio, dtype=np.float64)).tolist()
        grids, paths = [], []
        for ratio in ratios:
            options: dict[str, Any] = {"l1_ratio": ratio, "intercept": self.fit_intercept, "nonnegative": self.positive}
            alphas = int(self.alphas) if np.ndim(self.alphas) == 0 else tuple(map(float, self.alphas))
            grid = Penalised(alphas=alphas, eps=self.eps, **options).fit(whole).alphas
            model = Penalised(alphas=tuple(grid.tolist()), **options)
            grids.append(grid)
            paths.append(self._errors(splits, lambda train, model=model: model.fit(train).coef))  # type: ignore[misc]
        means = np.array([path.mean(axis=1) for path in paths])
        ratio, alpha = np.unravel_index(np.argmin(means), means.shape)
        self.l1_ratio_, self.alpha_ = ratios[ratio], float(grids[ratio][alpha])
        several = len(ratios) > 1
        self.alphas_, self.mse_path_ = (np.array(v) if several else v[0] for v in (grids, paths))
        model = Penalised(
            l1_ratio=self.l1_ratio_, alphas=(self.alpha_,), intercept=self.fit_intercept, nonnegative=self.positive
        )
        self._found(model.fit(whole).candidate(0), not hasattr(self, "n_features_in_"))


class LassoCV(ElasticNetCV):
    """`Lasso` whose alpha is chosen by cross-validation; parameters and attributes as of `ElasticNetCV`."""

    l1_ratio = 1.0

    def __init__(
        self,
        *,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        cv: Any = None,
        positive: bool = False,
    ) -> None:
        self.eps, self.alphas, self.fit_intercept, self.cv, self.positive = eps, alphas, fit_intercept, cv, positive


class RidgeCV(CrossValidated):
    """`Ridge` whose alpha is chosen by leaving out each row, or by the folds of `cv`, as in scikit-learn.

    Parameters
    ----------
    alphas : array-like
    fit_intercept : bool
    cv : int, splitter or iterable, optional
        None: each row of an array is left out by itself; of a path or source, 10 folds.

    Attributes
    ----------
    alpha_, best_score_ : float
        The score is minus the mean squared error where rows are left out one by one, else the mean R2 of the folds.
    """

    def __init__(self, alphas: Any = (0.1, 1.0, 10.0), *, fit_intercept: bool = True, cv: Any = None) -> None:
        self.alphas, self.fit_intercept, self.cv = alphas, fit_intercept, cv

    def _of_arrays(self, X: Float, y: Float, weight: Float | None) -> None:
        if self.cv is not None:
            return super()._of_arrays(X, y, weight)
        weight = np.ones(len(y)) if weight is None else weight
        errors = _left_out(X, y, weight, self._grid(), self.fit_intercept)
        self._best(scan(self._source(X, y, weight)), [-e for e in errors])

    def _grid(self) -> list[float]:
        return [float(alpha) for alpha in np.atleast_1d(np.asarray(self.alphas, dtype=np.float64))]

    def _choose(self, whole: Moments, splits: Sequence[Split]) -> None:
        errors = self._errors(splits, lambda train: np.array([self._line(train, a).coef for a in self._grid()]))
        about_mean = [test.problem(test.explained(None), None, True) for _, test in splits]
        spread = [np.ldexp(p.cross[-1, -1], 2 * int(p.exponent[-1])) / p.weight for p in about_mean]
        self._best(whole, (1.0 - errors / np.array(spread)).mean(axis=1))

    def _line(self, moments: Moments, alpha: float) -> Any:
        return Linear(ridge=alpha, intercept=self.fit_intercept).fit(moments)

    def _best(self, whole: Moments, scores: Any) -> None:
        best = int(np.argmax(scores))
        self.alpha_, self.best_score_ = self._grid()[best], float(scores[best])
        self._found(self._line(whole, self.alpha_), not hasattr(self, "n_features_in_"))


def _left_out(X: Float, y: Float, weight: Float, alphas: Sequence[float], intercept: bool) -> list[float]:
    """Return the mean squared error of each row by the line of all others, for each penalty.

    It is ``(residual / (1 - leverage))**2`` (Allen 1974, *Technometrics* 16); the leverages of all penalties come from
    one decomposition of the cross-products.
    """
    share = weight / weight.sum()
    middle = share @ X if intercept else np.zeros(X.shape[1])
    level = float(share @ y) if intercept else 0.0
    values, vectors = np.linalg.eigh(((X - middle).T * weight) @ (X - middle))
    turned, left = (X - middle) @ vectors, y - level
    moved = (turned.T * weight) @ left
    errors = []
    for alpha in alphas:
        held = np.where(values + alpha > 0, values + alpha, np.inf)
        leverage = weight * (turned**2 @ (1.0 / held)) + share * intercept
        errors.append(float(share @ ((left - turned @ (moved / held)) / (1.0 - leverage)) ** 2))
    return errors
