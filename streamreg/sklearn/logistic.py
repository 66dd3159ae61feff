"""Logistic regression of two classes."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted

from streamreg.errors import UsageError
from streamreg.models.glm import Logistic
from streamreg.models.penalised import Penalised
from streamreg.results.base import FitResult
from streamreg.sklearn.base import Float, StreamingEstimator, is_stored


class LogisticRegression(ClassifierMixin, StreamingEstimator):  # type: ignore[misc]
    """Logistic regression with a penalty over C added to the log-loss, as in scikit-learn.

    It is ``l1_ratio sum(|coef|) + (1 - l1_ratio) / 2 sum(coef**2)``.

    Parameters
    ----------
    C : float
        Inverse of the penalty; ``numpy.inf`` for maximum likelihood, with standard errors. The default of 1 is that of
        scikit-learn, and biases the coefficients.
    l1_ratio : float
        0: ridge. 1: lasso. Between: elastic net. Above 0, of arrays.
    fit_intercept : bool
    class_weight : dict or "balanced", optional
    max_iter : int
        Passes over the rows, at most.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
    coef_ : ndarray of shape (1, p)
    intercept_ : ndarray of shape (1,)
    """

    _numeric = False

    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        class_weight: Any = None,
        max_iter: int = 100,
    ) -> None:
        self.C, self.l1_ratio, self.fit_intercept = C, l1_ratio, fit_intercept
        self.class_weight, self.max_iter = class_weight, max_iter

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit to all rows, in some passes over them.

        Parameters
        ----------
        X : array-like of shape (n, p), path or Source
        y : array-like of shape (n,), or the name of a column of 0 and 1 of a path or source
        sample_weight : likewise, optional
        """
        if is_stored(X):
            if self.class_weight is not None:
                raise UsageError(f"class_weight is for arrays; of {X} name a column of weights")
            if self.l1_ratio:
                raise UsageError("l1_ratio above 0 is for arrays; of a file fit sr.Penalised(family='binomial')")
            self.classes_ = np.array([0, 1])
            return self._learn(self._of_columns(X, y, sample_weight), self.C, True)
        return self._of_arrays(*self._checked(X, y, sample_weight))

    def _of_arrays(self, X: Float, y: Float, weight: Float | None) -> Self:
        own = self._weighted(y, weight)
        return self._learn(self._source(X, y, own), self.C, False, float(len(y) if own is None else own.sum()))

    def _checked(self, X: Any, y: Any, sample_weight: Any, reset: bool = True) -> tuple[Float, Float, Float | None]:
        X, labels, weight = super()._checked(X, y, sample_weight, reset)
        if len(np.unique(labels if weight is None else labels[weight > 0])) < 2:
            raise UsageError("this needs rows of 2 classes, and those with a weight have one class")
        return X, labels, weight

    def _learn(self, data: Any, c: float, stored: bool, total: float = 1.0) -> Self:
        self._found(self._fitted(data, c, total), stored)
        self.coef_, self.intercept_ = self.coef_[None], np.array([self.intercept_])
        self.n_iter_ = np.array([self.n_iter_])
        return self

    def _fitted(self, data: Any, c: float, total: float) -> FitResult:
        """Fit with a penalty; `total` is the sum of the weights."""
        if not c > 0:
            raise UsageError(f"C is {c}; it should be above 0")
        if not self.l1_ratio:
            return Logistic(ridge=1.0 / c, intercept=self.fit_intercept, max_iterations=self.max_iter).fit(data)
        options: dict[str, Any] = {"intercept": self.fit_intercept, "max_iterations": self.max_iter}
        path = Penalised(family="binomial", l1_ratio=self.l1_ratio, alphas=(1.0 / (c * total),), **options).fit(data)
        return path.candidate(0)

    def _weighted(self, y: Float, weight: Float | None) -> Float | None:
        if self.class_weight is None:
            return weight
        if weight is None:
            weight = np.ones(len(y))
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            sums = np.bincount(y.astype(int), weight)
            return np.asarray(weight * (sums.sum() / (2.0 * sums))[y.astype(int)])
        return np.asarray(weight * compute_sample_weight(self.class_weight, self.classes_[y.astype(int)]))

    def _target(self, y: Any) -> Float:
        """Return 0 and 1 for the two classes, which are kept."""
        check_classification_targets(y)
        if (kind := type_of_target(y, input_name="y", raise_unknown=True)) != "binary":
            raise UsageError(f"Only binary classification is supported. The type of the target is {kind}.")
        self.classes_, labels = np.unique(y, return_inverse=True)
        return np.asarray(labels, dtype=np.float64)

    def decision_function(self, X: Any) -> Float:
        """Return the logarithm of the odds of the second class, shape (n,)."""
        return self._predicted(X, "link")

    def predict_proba(self, X: Any) -> Float:
        """Return the probabilities of both classes, shape (n, 2)."""
        second = self._predicted(X)
        return np.column_stack([1.0 - second, second])

    def predict_log_proba(self, X: Any) -> Float:
        """Return the logarithms of the probabilities, shape (n, 2)."""
        odds = self._predicted(X, "link")
        return -np.column_stack([np.logaddexp(0.0, odds), np.logaddexp(0.0, -odds)])

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the more likely class of each row, shape (n,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[(self.decision_function(X) > 0).astype(int)])

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the share of rows whose class is predicted; of a path or source too, whose target is y."""
        if not is_stored(X):
            return float(super().score(X, y, sample_weight))
        check_is_fitted(self)
        from streamreg.scoring import score

        return float(score({"fit": self.result_}, self._of_columns(X, y, sample_weight))["fit"].accuracy)

    def _completed(self, other: Any) -> Any:
        other.n_iter_ = self.n_iter_
        return other

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class LogisticRegressionCV(LogisticRegression):
    """`LogisticRegression` whose C is chosen by cross-validation; of arrays.

    Parameters
    ----------
    Cs : int or list of float
        Values of C to choose from, or how many: evenly spaced in the logarithm between 1e-4 and 1e4.
    l1_ratio : float
    fit_intercept : bool
    cv : int, splitter or iterable, optional
        As in scikit-learn: 5 stratified folds.
    scoring : str or callable, optional
        Default: the share of right classes.
    class_weight : dict or "balanced", optional
    max_iter : int

    Attributes
    ----------
    C_ : float
    Cs_ : ndarray
    scores_ : ndarray of shape (number of folds, number of Cs)
    """

    def __init__(
        self,
        *,
        Cs: Any = 10,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        cv: Any = None,
        scoring: Any = None,
        class_weight: Any = None,
        max_iter: int = 100,
    ) -> None:
        self.Cs, self.l1_ratio, self.fit_intercept = Cs, l1_ratio, fit_intercept
        self.cv, self.scoring = cv, scoring
        self.class_weight, self.max_iter = class_weight, max_iter

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Choose C, and fit to all rows.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional
        """
        if is_stored(X):
            raise UsageError("LogisticRegressionCV takes arrays; of a file, compare fits to sr.split(data) by sr.score")
        return super().fit(X, y, sample_weight)

    def _of_arrays(self, X: Float, y: Float, weight: Float | None) -> Self:
        self.Cs_ = np.logspace(-4, 4, self.Cs) if np.ndim(self.Cs) == 0 else np.asarray(self.Cs, dtype=np.float64)
        scorer = get_scorer(self.scoring or "accuracy")
        labels, scores = self.classes_[y.astype(int)], []
        for train, test in check_cv(self.cv, labels, classifier=True).split(X, labels):
            for c in self.Cs_:
                one = LogisticRegression(
                    C=c,
                    l1_ratio=self.l1_ratio,
                    fit_intercept=self.fit_intercept,
                    class_weight=self.class_weight,
                    max_iter=self.max_iter,
                )
                one.fit(X[train], labels[train], None if weight is None else weight[train])
                own = {} if weight is None else {"sample_weight": weight[test]}
                scores.append(scorer(one, X[test], labels[test], **own))
        self.scores_ = np.array(scores).reshape(-1, len(self.Cs_))
        self.C_ = float(self.Cs_[np.argmax(self.scores_.mean(axis=0))])
        given = self._weighted(y, weight)
        return self._learn(self._source(X, y, given), self.C_, False, float(len(y) if given is None else given.sum()))
