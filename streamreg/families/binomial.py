"""The binomial family, with the logit link and others."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.errors import UsageError
from streamreg.families.base import Family, Float, xlogx
from streamreg.families.linked import IMPOSSIBLE, Linked
from streamreg.families.links import SHARES, Link, link

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
    losses = ("binary_cross_entropy", "binary_crossentropy")

    @classmethod
    def of(cls, parameter: str, link_name: str) -> "Binomial":
        """Return the family with a link by name; that of another link than the logit is of a class of its own."""
        if parameter:
            raise UsageError(f"family {cls.name!r} has no parameter")
        return cls() if link_name in ("", cls.link) else cls.other(link(link_name, SHARES))

    @classmethod
    def other(cls, link: Link) -> "Binomial":
        """Return the family with another link."""
        return BinomialWith(link)

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


class BinomialWith(Linked, Binomial):
    """Labels or shares, with another link than the logit."""

    links = SHARES
    null_terms, violation, start, separated = (
        Binomial.null_terms,
        Binomial.violation,
        Binomial.start,
        Binomial.separated,
    )
    bounded, unlike_means, variance = Binomial.bounded, Binomial.unlike_means, Binomial.variance

    def possible(self, mean: Float) -> NDArray[np.bool_]:
        """Return where the mean is a probability."""
        return np.asarray((mean > 0) & (mean < 1))

    def unit_deviance(self, y: Float, mean: Float) -> Float:
        """Return twice the cross-entropy, less that of a perfect fit."""
        return self._deviance(y, mean, 1.0 - mean)

    def _deviance(self, y: Float, mean: Float, rest: Float) -> Float:
        return np.asarray(2.0 * (self.saturated(y) - y * np.log(mean) - (1.0 - y) * np.log(rest)))

    def deviance(self, y: Float, eta: Float) -> Float:
        """Return the deviance of each row, without the cancellation of means near 1."""
        mean, rest, good = self._tails(eta)
        return np.where(good, self._deviance(y, mean, rest), IMPOSSIBLE)

    def score(self, y: Float, eta: Float) -> tuple[Float, Float]:
        """Return the score and the expected information, without the cancellation of means near 1."""
        mean, rest, good = self._tails(eta)
        slope = np.where(good, self._link.slope(eta), 0.0)
        variance = mean * rest
        return np.asarray((y * rest - (1.0 - y) * mean) * slope / variance), np.asarray(slope**2 / variance)

    def _tails(self, eta: Float) -> tuple[Float, Float, NDArray[np.bool_]]:
        mean, rest = self._link.tails(eta)
        good = (mean >= 0) & (rest >= 0)
        return np.where(good, np.maximum(mean, 1e-150), 0.5), np.where(good, np.maximum(rest, 1e-150), 0.5), good


class QuasiBinomial(Binomial):
    """Labels or shares whose variance is that of the binomial family times a dispersion, which is estimated."""

    name, dispersion_known, quasi = "quasi_binomial", False, True

    @classmethod
    def other(cls, link: Link) -> Binomial:
        """Return the family with another link."""
        return QuasiBinomialWith(link)


class QuasiBinomialWith(BinomialWith):
    """The same, with another link than the logit."""

    name, dispersion_known, quasi = "quasi_binomial", False, True
