"""Poisson, gamma and Tweedie regression."""

from typing import Any, Self

from streamreg.models.glm import Glm
from streamreg.scans.scan import scan
from streamreg.sklearn.base import StreamingRegressor, is_stored


class Generalised(StreamingRegressor):
    """Base: half of the mean deviance plus ``alpha / 2 * sum(coef**2)`` is made least.

    Standard errors are those of maximum likelihood, where alpha is 0.
    """

    alpha: float
    fit_intercept: bool
    max_iter: int

    def _family(self) -> dict[str, Any]:
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit to all rows, in some passes over them.

        Parameters
        ----------
        X : array-like of shape (n, p), path or Source
        y : array-like of shape (n,), or the name of a column of a path or source
        sample_weight : likewise, optional
        """
        data = self._opened(X, y, sample_weight)
        # scikit-learn's penalty is on the mean deviance; the sum of weights is what a scan of no feature tells.
        ridge = self.alpha * scan(data, features=()).total().weight if self.alpha else 0.0
        model = Glm(**self._family(), ridge=ridge, intercept=self.fit_intercept, max_iterations=self.max_iter)
        return self._found(model.fit(data), is_stored(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return D2, the share of the deviance explained."""
        if is_stored(X):
            return super().score(X, y, sample_weight)
        from sklearn.metrics import d2_tweedie_score

        return float(d2_tweedie_score(y, self.predict(X), sample_weight=sample_weight, power=self._power()))

    def _power(self) -> float:
        raise NotImplementedError

    def _completed(self, other: Any) -> Any:
        other._base_loss = other._get_loss()  # made by its own fit
        return other

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self._power() >= 1
        return tags


class PoissonRegressor(Generalised):
    """Poisson regression with the log link, as `sklearn.linear_model.PoissonRegressor`.

    Parameters
    ----------
    alpha : float
    fit_intercept : bool
    max_iter : int
        Passes over the rows, at most.
    """

    def __init__(self, *, alpha: float = 1.0, fit_intercept: bool = True, max_iter: int = 100) -> None:
        self.alpha, self.fit_intercept, self.max_iter = alpha, fit_intercept, max_iter

    def _family(self) -> dict[str, Any]:
        return {"family": "poisson"}

    def _power(self) -> float:
        return 1.0


class GammaRegressor(Generalised):
    """Gamma regression with the log link, as `sklearn.linear_model.GammaRegressor`.

    Parameters
    ----------
    alpha : float
    fit_intercept : bool
    max_iter : int
        Passes over the rows, at most.
    """

    def __init__(self, *, alpha: float = 1.0, fit_intercept: bool = True, max_iter: int = 100) -> None:
        self.alpha, self.fit_intercept, self.max_iter = alpha, fit_intercept, max_iter

    def _family(self) -> dict[str, Any]:
        return {"family": "gamma"}

    def _power(self) -> float:
        return 2.0


_POWERS = {0.0: "gaussian", 1.0: "poisson", 2.0: "gamma", 3.0: "inverse_gaussian"}


class TweedieRegressor(Generalised):
    """Regression with a variance proportional to a power of the mean, as `sklearn.linear_model.TweedieRegressor`.

    Parameters
    ----------
    power : float
        0: gaussian, 1: Poisson, between 1 and 2: amounts of which many are zero, 2: gamma, 3: inverse Gaussian.
    alpha : float
    fit_intercept : bool
    link : {"auto", "identity", "log"}
        "auto": the identity of power 0, else the log.
    max_iter : int
        Passes over the rows, at most.
    """

    def __init__(
        self,
        *,
        power: float = 0.0,
        alpha: float = 1.0,
        fit_intercept: bool = True,
        link: str = "auto",
        max_iter: int = 100,
    ) -> None:
        self.power, self.alpha, self.fit_intercept = power, alpha, fit_intercept
        self.link, self.max_iter = link, max_iter

    def _family(self) -> dict[str, Any]:
        link = self.link if self.link != "auto" else "identity" if self.power <= 0 else "log"
        if self.power in _POWERS:
            return {"family": _POWERS[self.power], "link": link}
        return {"family": "tweedie", "power": self.power, "link": link}

    def _power(self) -> float:
        return self.power
