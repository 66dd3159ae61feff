"""The binomial family, with the logit link."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.families.base import Family, Float, xlogx

_LEAST = 2.0**-24  # probabilities of models in float32 are not nearer to 0 and 1


class Binomial(Family):
    """Labels 0 and 1, or shares between them, whose mean has the linear predictor as its logit."""

    name, link, requirement = "binomial", "logit", "between 0 and 1"
    activation = "sigmoid"
    scores = (
        ("explained", "explained"),
        ("+-", "explained_error"),
        ("log-loss", "log_loss"),
        ("AUC", "auc"),
        ("accuracy", "accuracy"),
    )
    labels = True

    def mean(self, eta: Float) -> Float:
        """Return the logistic function of eta."""
        small = np.exp(-np.abs(eta))
        return np.where(eta >= 0, 1.0, small) / (1.0 + small)

    def linked(self, mean: ArrayLike) -> Float:
        """Return the logit of the mean."""
        mean = np.asarray(mean, dtype=np.float64)
        return np.asarray(np.log(mean) - np.log1p(-mean))

    def variance(self, mean: Float) -> Float:
        """Return ``mean (1 - mean)``."""
        return np.asarray(mean * (1.0 - mean))

    def score(self, y: Float, eta: Float) -> tuple[Float, Float]:
        """Return ``y - mean`` and the variance, without the cancellation of means near 1."""
        small = np.exp(-np.abs(eta))
        near, far = small / (1.0 + small), 1.0 / (1.0 + small)
        up = eta >= 0
        return np.asarray(y * np.where(up, near, far) - (1.0 - y) * np.where(up, far, near)), near * far

    def deviance(self, y: Float, eta: Float) -> Float:
        """Return twice the cross-entropy, less that of a perfect fit."""
        crossed = y * np.maximum(-eta, 0.0) + (1.0 - y) * np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta)))
        return np.asarray(2.0 * (crossed + self.saturated(y)))

    def saturated(self, y: Float) -> Float:
        """Return ``y log y + (1 - y) log(1 - y)``, which is 0 for labels."""
        if ((y == 0) | (y == 1)).all():
            return np.zeros_like(y)
        return xlogx(y) + xlogx(1.0 - y)

    def null_terms(self, mean: float) -> tuple[float, float, float]:
        """Return the terms of ``2 (q - y log mean - (1 - y) log(1 - mean))``."""
        inner = min(max(mean, 1e-300), 1.0 - 2.0**-53)
        return float(-2.0 * np.log1p(-inner)), float(-2.0 * self.linked(inner)), 2.0

    def curved(self, y: Float) -> Float:
        """Return the log-likelihood of a perfect fit."""
        return self.saturated(y)

    def valid(self, y: Float) -> NDArray[np.bool_]:
        """Return where the target is a label or a share."""
        return np.asarray((y >= 0) & (y <= 1))

    def violation(self, y: Float, move: Float) -> Float:
        """Return how far labels 1 move down, labels 0 move up, and shares move at all."""
        return np.where(y == 1, -move, np.where(y == 0, move, np.abs(move)))

    def start(self, y: Float) -> Float:
        """Return 1/2."""
        return np.full_like(y, 0.5)

    def choices(self, y: Float, weight: Float) -> Float:
        """Return ``log binomial(w, w y)``: a row of weight w and share y is w y successes in w trials, as in R.

        It is 0 for labels. Where the numbers of a share are not whole the trials are not known, and it is NaN.
        """
        share = (y > 0) & (y < 1)
        out = np.zeros_like(y)
        if not share.any():
            return out
        from scipy.special import gammaln

        trials, successes = weight[share], weight[share] * y[share]
        # Shares are quotients that were rounded, perhaps to float32.
        near = np.minimum(1e-3, 1e-6 * np.maximum(successes, 1.0))
        whole = (trials == np.rint(trials)) & (np.abs(successes - np.rint(successes)) <= near)
        successes = np.rint(successes)
        chosen = gammaln(trials + 1.0) - gammaln(successes + 1.0) - gammaln(trials - successes + 1.0)
        out[share] = np.where(whole, chosen, np.nan)
        return out

    def separated(self, whole: bool) -> tuple[float, str, str]:
        """Return the words of complete separation, and of quasi-complete separation."""
        extent = "all rows with label 1 from those with label 0" if whole else "some rows from all of the other label"
        name = "complete separation" if whole else "quasi-complete separation"
        return 1.0, f"{name}: ", f" tells {extent} (the greater, the more 1)"

    def constant(self, mean: float) -> bool:
        """Return whether all labels are the same."""
        return mean in (0, 1)

    def bounded(self, mean: Float) -> Float:
        """Return probabilities a little away from 0 and 1."""
        return np.clip(mean, _LEAST, 1.0 - _LEAST)

    def unlike_means(self, low: float, high: float) -> str:
        """Return what to do about predictions that are no probabilities."""
        if low >= -_LEAST and high <= 1.0 + _LEAST:
            return ""
        return (
            f"predictions range from {low:.3g} to {high:.3g}, and probabilities from 0 to 1; end the model with a "
            "sigmoid, or score it with family='gaussian'"
        )
