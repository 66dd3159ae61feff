"""What all estimators share: what they are fitted to, and what they say after it."""

import os
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from streamreg import sources
from streamreg.errors import UsageError
from streamreg.results.base import FitResult
from streamreg.sources.base import Source

Float = NDArray[np.float64]


def is_stored(X: Any) -> bool:
    """Return whether X says where rows are, rather than being an array or a data frame of features."""
    return isinstance(X, str | os.PathLike | Source)


class StreamingEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base of the estimators.

    ``fit(X, y, sample_weight)`` takes arrays and data frames as scikit-learn does. X may also be a path or a source of
    `streamreg.open`; y and sample_weight are then names of its columns, and the rows are read as a stream.

    Attributes
    ----------
    coef_ : ndarray
    intercept_ : float or ndarray
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where the features have names.
    n_iter_ : int
        Passes over the rows.
    std_errors_, digits_ : ndarray of shape (n_features,)
        Standard error of each coefficient, and how many digits of it to believe; NaN where there is none.
    result_ : FitResult
        The fit, with all that can be asked of it.
    """

    coef_: Any
    intercept_: Any
    n_iter_: Any

    def _opened(self, X: Any, y: Any, sample_weight: Any, reset: bool = True) -> Source:
        """Return the rows to fit, checked as scikit-learn checks them; against those before, if not `reset`."""
        if is_stored(X):
            return self._of_columns(X, y, sample_weight)
        return self._source(*self._checked(X, y, sample_weight, reset))

    def _checked(self, X: Any, y: Any, sample_weight: Any, reset: bool = True) -> tuple[Float, Float, Float | None]:
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=self._numeric, reset=reset)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        return X, self._target(y), weight

    def _source(self, X: Float, y: Float, weight: Float | None) -> Source:
        names = getattr(self, "feature_names_in_", None)
        given = None if names is None or {"y", "weight"} & {*names} else tuple(names)
        return sources.open((X, y) if weight is None else (X, y, weight), columns=given)

    _numeric = True

    def _target(self, y: Any) -> Any:
        return np.asarray(y, dtype=np.float64)

    def _of_columns(self, X: Any, y: Any, sample_weight: Any) -> Source:
        for what, name in (("y", y), ("sample_weight", sample_weight)):
            if not isinstance(name, str | None):
                raise UsageError(f"{what} is a {type(name).__name__}; of {X} it is the name of a column")
        return sources.open(X, target=y, weights=sample_weight)

    def _found(self, result: FitResult, stored: bool) -> Self:
        """Keep what a fit found."""
        self.result_ = result
        self.coef_, self.intercept_ = result.coef.copy(), result.intercept
        self.std_errors_, self.digits_ = result.std_errors, result.digits
        self.n_iter_ = result.passes
        if stored:
            self.n_features_in_ = len(result.names)
            self.feature_names_in_ = np.array(result.names, dtype=object)
        return self

    def summary(self, rows: int | None = None) -> str:
        """Return a table of estimates, errors and diagnostics; `rows` shows only the first few coefficients."""
        check_is_fitted(self)
        return self.result_.summary(rows)

    def _predicted(self, X: Any, kind: Any = "mean") -> Float:
        check_is_fitted(self)
        if is_stored(X):
            return np.asarray(self.result_.predict(sources.open(X), kind))
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return np.asarray(self.result_.predict(np.asarray(X, dtype=np.float64), kind))

    def to_sklearn(self) -> Any:
        """Return scikit-learn's own estimator of this name with these coefficients: to export, or to run elsewhere."""
        import sklearn.linear_model

        check_is_fitted(self)
        kind = getattr(sklearn.linear_model, type(self).__name__)
        own = kind().get_params()
        other = kind(**{name: value for name, value in self.get_params().items() if name in own})
        names = ("coef_", "intercept_", "n_features_in_", "feature_names_in_", "classes_", "alpha_", "C_", "l1_ratio_")
        for name in names:
            if hasattr(self, name):
                setattr(other, name, getattr(self, name))
        other.n_iter_ = np.array([self.n_iter_])
        return self._completed(other)

    def _completed(self, other: Any) -> Any:
        return other

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags


class StreamingRegressor(RegressorMixin, StreamingEstimator):  # type: ignore[misc]
    """Base of the estimators of numbers."""

    def predict(self, X: Any) -> Float:
        """Return fitted values, shape (n,), for rows in memory, or of a path or source."""
        return self._predicted(X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return R2 of the predictions; of a path or source too, whose target is y."""
        if not is_stored(X):
            return float(super().score(X, y, sample_weight))
        check_is_fitted(self)
        from streamreg.scoring import score

        return float(score({"fit": self.result_}, self._of_columns(X, y, sample_weight))["fit"].explained)
