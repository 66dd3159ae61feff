"""Row-wise facts of the exponential families with their canonical links.

With a canonical link the score of a row is ``(y - mean) x`` and its Fisher information ``variance(mean) x x'``
(McCullagh & Nelder 1989, *Generalized Linear Models*, sections 2.2 and 2.5). Everything is a function of the target y
and the linear predictor eta, elementwise on arrays of shape (m,).
"""

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.errors import UsageError
from streamreg.families.parameters import ByParameters

Float = NDArray[np.float64]


class Family(ABC):
    """A distribution of the target, given the linear predictor.

    Attributes
    ----------
    name : str
    link : str
        What the linear predictor is of the mean.
    requirement : str
        What targets must be.
    activation : str or None
        The Keras activation that is the mean, None for the linear predictor itself. Every family states it.
    scores : tuple of (str, str)
        Columns of a scorecard: the title, and the attribute of a score.
    least_squares : bool
        Whether the maximum of the likelihood is the least-squares solution.
    dispersion_known : bool
        Whether sigma is 1 and tests are from the normal distribution. Otherwise Pearson's statistic over the residual
        degrees of freedom estimates the dispersion, and tests are from the t distribution.
    labels : bool
        Whether targets are labels 0 and 1 or shares, so that there are a log-loss, an accuracy and a ROC curve.
    whole : bool
        Whether targets are counts, so that the likelihood is that of whole numbers.
    concentrated : bool
        Whether the log-likelihood is that at the dispersion which maximises it, ``deviance / n``, as for a line.
    parameter : str
        The option that the variance takes, and that a fit estimates if it is not given; empty: none.
    parameters : int
        How many numbers are sought with it: a dispersion, too, where that is not known.
    quasi : bool
        Whether there is a variance only, and no distribution.
    canonical : bool
        Whether the expected information is the observed one, so that Newton's method converges quadratically.
    losses : tuple of str
        Losses of trained models that are least where this likelihood is greatest, by their names here and in Keras.
    separable : bool
        Whether the `base_measure` is a function of the target (`choices`) and one of the precision (`normaliser`).
    """

    name: str
    link: str
    requirement: str
    activation: str | None
    scores: tuple[tuple[str, str], ...] = (
        ("explained", "explained"),
        ("+-", "explained_error"),
        ("mean deviance", "deviance"),
    )
    least_squares: bool = False
    dispersion_known: bool = True
    labels: bool = False
    whole: bool = False
    concentrated: bool = False
    parameter: str = ""
    parameters: int = 0
    quasi: bool = False
    canonical: bool = True
    separable: bool = True
    losses: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameter: str, link: str) -> Self:
        """Return the family with a parameter and a link by name, each empty for its own.

        Raises
        ------
        UsageError
            It has no such parameter or link.
        """
        if parameter or link not in ("", cls.link):
            raise UsageError(f"family {cls.name!r} has the {cls.link} link and no parameter")
        return cls()

    @abstractmethod
    def mean(self, eta: Float) -> Float:
        """Return the mean of the target."""

    @abstractmethod
    def linked(self, mean: ArrayLike) -> Float:
        """Return the linear predictor of a mean."""

    @abstractmethod
    def variance(self, mean: Float) -> Float:
        """Return the variance of the target, which with a canonical link is the derivative of the mean, too."""

    def slope(self, mean: Float) -> Float:
        """Return the derivative of the mean by the linear predictor: with a canonical link, the variance."""
        return self.variance(mean)

    def information(self, mean: Float) -> Float:
        """Return the expected information of a row about its linear predictor: with a canonical link, the variance."""
        return self.variance(mean)

    @abstractmethod
    def deviance(self, y: Float, eta: Float) -> Float:
        """Return twice the log-likelihood ratio of a perfect fit to this one, for each row."""

    @abstractmethod
    def null_terms(self, mean: float) -> tuple[float, float, float]:
        """Return a, b, c such that the deviance of y at this mean is ``a + b y + c q``, q being `curved` of y."""

    @abstractmethod
    def curved(self, y: Float) -> Float:
        """Return the one function of y, beside y itself, that deviances at a constant mean are made of."""

    @abstractmethod
    def saturated(self, y: Float) -> Float:
        """Return the log-likelihood of a perfect fit, for each row."""

    @abstractmethod
    def valid(self, y: Float) -> NDArray[np.bool_]:
        """Return which targets can be."""

    @abstractmethod
    def violation(self, y: Float, move: Float) -> Float:
        """Return by how much each row opposes that the linear predictor moves on in this direction for ever.

        If no row does, there is no finite maximum of the likelihood (Albert & Anderson 1984, *Biometrika* 71).
        """

    @abstractmethod
    def start(self, y: Float) -> Float:
        """Return a mean that can be, near each target: where Newton's method begins."""

    @abstractmethod
    def separated(self, whole: bool) -> tuple[float, str, str]:
        """Return how a direction without a finite maximum is told: its sign, and the words before and after it.

        Parameters
        ----------
        whole : bool
            Whether no row opposes the direction, rather than few.
        """

    def normaliser(self, precision: Float) -> Float:
        """Return what a precision (weight over dispersion) adds to the log-likelihood of a row, whatever its target."""
        return np.zeros_like(precision)

    def base_measure(self, y: Float, precision: Float) -> Float:
        """Return the log-likelihood of rows where their mean is y, given weight over dispersion."""
        return self.choices(y, precision) + self.normaliser(precision)

    def stiffness(self, y: Float, eta: Float) -> Float:
        """Return how fast the logarithm of the information changes with eta: with a canonical link, by 1 at most."""
        return np.ones_like(eta)

    def derivative(self, eta: Float) -> Float:
        """Return the derivative of the mean by the linear predictor."""
        return self.slope(self.mean(eta))

    def constant(self, mean: float) -> bool:
        """Return whether a null model of this mean has no finite intercept."""
        return mean == 0

    def bounded(self, mean: Float) -> Float:
        """Return predicted means, moved to the nearest whose linear predictor is finite."""
        return mean

    def unlike_means(self, low: float, high: float) -> str:
        """Return why predictions of this range are no means of the family, and what to do; empty if they can be."""
        return ""

    def choices(self, y: Float, weight: Float) -> Float:
        """Return what the weights add to the log-likelihood of each row, whatever its mean; NaN if unknown."""
        return np.zeros_like(y)

    def by_parameters(self, y: Float, eta: Float, times: Float, precision: Float, dispersion: float) -> ByParameters:
        """Return the terms of the log-likelihood, and its derivatives by parameter and dispersion.

        Parameters
        ----------
        times : ndarray of shape (m,)
            How often each row occurred.
        precision : ndarray of shape (m,)
            What its dispersion is divided by.
        """
        raise NotImplementedError(f"{self.name} has no parameter of its own")

    def moved(self, step: Float, dispersion: float) -> tuple[float, float]:
        """Return the parameter and the dispersion after a step of what is sought."""
        raise NotImplementedError(f"{self.name} has no parameter of its own")

    def parameter_end(self) -> str:
        """Return what to do where the likelihood rises to the end of the parameter; empty if this is not there."""
        return ""

    def parameter_error(self, covariance: Float) -> float:
        """Return the standard error of the parameter, given the covariance of what is sought."""
        raise NotImplementedError(f"{self.name} has no parameter of its own")

    def score(self, y: Float, eta: Float) -> tuple[Float, Float]:
        """Return the derivative of the log-likelihood by eta and its expected information, the dispersion being 1.

        With a canonical link these are ``y - mean`` and the variance, each to full relative precision where it is
        small. A family with another link has its own: ``(y - mean) slope / variance`` and ``slope**2 / variance``
        (McCullagh & Nelder 1989, section 2.5).
        """
        mean = self.mean(eta)
        return y - mean, self.variance(mean)


def xlogx(y: Float) -> Float:
    """Return ``y log y``, which is 0 at 0."""
    return np.asarray(y * np.log(np.where(y > 0, y, 1.0)))
