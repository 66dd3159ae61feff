"""What a `Penalised` model of a family other than gaussian returns: candidates measured by their deviance."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.errors import UsageError, typed
from streamreg.families import family
from streamreg.inference import statistics
from streamreg.results.base import FitResult
from streamreg.results.estimates import NAN
from streamreg.results.selection import PenaltyPath

Float = NDArray[np.float64]

_NONE = "AIC and BIC need a log-likelihood, and the dispersion is not known here; choose by held-out deviance."


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class LikelihoodPath(PenaltyPath):
    """A path of penalties of a generalised linear model, the strongest first.

    Attributes
    ----------
    coef, intercept, alphas, lambda_max, ...
        As of `PenaltyPath`. `rss` and `tss` are squared errors of the mean; `fold_errors` are mean deviances.
    family : str
        With its parameter and link, as `FitResult` has it.
    deviance : ndarray of shape (m,)
    null_deviance : float
    pearson : ndarray of shape (m,)
        Pearson's statistic.
    base : float
        Log-likelihood of a perfect fit; NaN where it is not known.
    beside : dict of str to str
        Columns that the linear predictor is moved by, by role.
    """

    KIND: ClassVar[str] = "penalty path of a likelihood"
    _LEFT_OUT: ClassVar[tuple[str, ...]] = ("cp",)
    _CV: ClassVar[str] = "CV deviance"

    family: str
    deviance: Float
    null_deviance: float
    pearson: Float
    base: float
    beside: dict[str, str] = field(default_factory=dict)

    @property
    def log_likelihood(self) -> Float:
        """Log-likelihood of each candidate, shape (m,); NaN where the dispersion is not known."""
        return self.base - self.deviance / 2.0

    @property
    def cp(self) -> Float:
        """Mallows's Cp is of lines: NaN, shape (m,)."""
        return np.full(len(self), NAN)

    @property
    def rsquared(self) -> Float:
        """Share of the deviance explained, shape (m,)."""
        return np.array([statistics.r_squared(self.null_deviance, float(one)) for one in self.deviance])

    @typed
    def candidate(self, k: int | None = None) -> FitResult:
        """Return one candidate (default: `best`) as a result. It has no standard errors: the choice would bias them."""
        k = self._place(k)
        fit, kind = super().candidate(k), family(self.family)
        known = kind.dispersion_known
        df = fit.df_resid
        dispersion = 1.0 if known else (float(self.pearson[k]) / df if df > 0 else NAN)
        by = "known" if known else "pearson"
        return replace(
            fit,
            family=self.family,
            method="newton",
            deviance=float(self.deviance[k]),
            null_deviance=self.null_deviance,
            log_lik=float(self.log_likelihood[k]),
            no_likelihood="" if np.isfinite(self.base) else _NONE,
            columns=(*fit.columns, *self.beside.values()),
            likelihood={
                "dispersion": dispersion,
                "dispersion_by": by,
                "pearson": float(self.pearson[k]),
                "beside": self.beside,
            },
        )

    def predict(self, x: ArrayLike) -> Float:
        """Return the means of every candidate, shape (rows, m), for rows of shape (rows, p) or a data frame.

        Raises
        ------
        UsageError
            The linear predictor is moved by an offset; predict by ``path.candidate(k).predict(data)``.
        """
        if self.beside:
            raise UsageError("this path has an offset; predict by path.candidate(k).predict(data)")
        return np.asarray(family(self.family).mean(super().predict(x)))

    def _sense(self) -> None:
        super()._sense()
        if self.deviance.shape != self.alphas.shape or (self.deviance < 0).any() or self.null_deviance < 0:
            raise ValueError("deviances are not those of the penalties")
