"""The numbers of a fit: estimates, errors, tests and diagnostics."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import Renamed, typed
from streamreg.families import LEAST_SQUARES, family
from streamreg.inference import statistics
from streamreg.inference.covariance import Geometry, Sandwich
from streamreg.line import Line
from streamreg.results.absorbed import AbsorbedEffects
from streamreg.stats.provenance import marked

Float = NDArray[np.float64]

NAN = float("nan")

Scale = Literal["mean", "link"]
"""What is predicted: the mean of the target, or the linear predictor."""


@dataclass(frozen=True, eq=False, repr=False)
class Estimates:
    """Estimates of a linear predictor, and what is known about them.

    Attributes
    ----------
    names : tuple of str
        The p terms: columns and their powers.
    target : str
    coef : ndarray of shape (p,)
        Slopes in the units of the data.
    intercept, has_intercept : float, bool
        0.0 if the model has none.
    std_errors : ndarray of shape (p,)
        NaN where a coefficient is not identifiable or the model gives no errors.
    intercept_std_error : float
    rss, tss : float
        Residual and total sum of squares (about the mean if there is an intercept or `constant`, else about zero).
    n, n_read, n_missing : int
        Rows used, read, and left out for a missing value.
    nobs : float
        Observations: `n`, or the sum of frequency weights.
    df_resid : float
        Residual degrees of freedom.
    rank : int
        How many of the p columns are linearly independent (of each other, and of the intercept if there is one).
    identifiable : bool ndarray of shape (p,)
        Which coefficients the data determine.
    dependencies : tuple of str
        Each dependent column written out: ``"x2 = x1 + 1"``.
    passes : int
        Times that the rows were read.
    method : str
        How the sums were taken: "float64", "residuals" or "exact"; "newton" for generalised linear
        models, "mini-batch" for Keras, "imported" for coefficients from elsewhere.
    condition : float
        Condition number of the scaled design; of more than 500 columns an estimate some percent below it.
    digits : ndarray of shape (p,)
        Decimal digits of `coef` to trust, relative to each coefficient itself: few for one far below its error.
    digits_intercept, digits_se : float
        Likewise for the intercept and the standard errors.
    centre : ndarray of shape (p,)
    at_centre : float
        The `line`, ``at_centre + (x - centre)'coef``, keeps the digits that ``intercept + x'coef`` loses.
    status : str
        "ok", "dependent", or why the answer is not final: "incomplete: ..." where rows could not be read.
    seconds : float
        Wall time of the fit.
    model, source : dict, str
        The options of the model, and where the rows came from.
    columns : tuple of str
        The columns that predictions need; the `names`, if there are no powers.
    powers : dict of str to int
        Columns that were raised to powers, and the degree.
    encoder : dict
        Terms of a formula, and what was learned for them: they turn columns of data into `columns`.
    provenance : dict
        The `sources`, each with its name, fingerprint, the version of streamreg that read it, and an account of its
        `rows`: those `used`, with a `missing` value, `filtered`, as the condition `where` is not true of them,
        `left_out` for zero weight, another sample or as singletons, and `lacking`, which could not be read; `faults`
        say which those are, and why.
    geometry : Geometry or None
    training : dict
        Loss curve and the like, for models that train.
    absorbed : AbsorbedEffects or None
        Effects of absorbed factors. The intercept leaves those of each factor with mean zero over the rows.
    family : str
        Whose mean is a function of the linear predictor, spelt with parameter and link: "gamma", "binomial/probit".
    deviance, null_deviance, log_lik : float
        Of families other than gaussian, at the estimates and without the columns; there `rss` and `tss` are squared
        errors of the mean.
    log_lik_note, no_likelihood : str
        What `log_lik` lacks, if anything; and why there is no log-likelihood, and so neither AIC, BIC nor an F test:
        it is that of the maximum, not of another loss or penalty, or short of the maximum.
    df_slopes : float
        Of penalised slopes: the trace of the hat matrix on the columns in use. NaN: it is `rank`.
    sandwich : Sandwich or None
        The covariance behind the standard errors and tests, where it is not that of errors of equal variance.
    likelihood : dict
        Of families other than gaussian: `dispersion`, what that comes from (`dispersion_by`), Pearson's statistic, and
        the columns that the linear predictor is moved by (`beside`), which are the last of `columns`. Where alpha or
        power is `estimated` (its name), the estimate and its standard error: `alpha`, `alpha_std_error`.
    constant : bool
        Of a line without intercept: whether its columns add up to a constant; `tss` and R2 are then about the mean.
    """

    names: tuple[str, ...]
    target: str
    coef: Float
    intercept: float
    has_intercept: bool
    std_errors: Float
    intercept_std_error: float
    rss: float
    tss: float
    n: int
    n_read: int
    n_missing: int
    nobs: float
    df_resid: float
    rank: int
    identifiable: NDArray[np.bool_]
    dependencies: tuple[str, ...]
    passes: int
    method: str
    condition: float
    digits: Float
    digits_intercept: float
    digits_se: float
    centre: Float
    at_centre: float
    status: str
    seconds: float
    model: dict[str, Any]
    source: str
    log_weight: float = 0.0
    columns: tuple[str, ...] = ()
    powers: dict[str, int] = field(default_factory=dict)
    encoder: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    geometry: Geometry | None = None
    training: dict[str, Any] = field(default_factory=dict)
    absorbed: AbsorbedEffects | None = None
    family: str = LEAST_SQUARES
    deviance: float = NAN
    null_deviance: float = NAN
    log_lik: float = NAN
    log_lik_note: str = ""
    sandwich: Sandwich | None = None
    constant: bool = False
    no_likelihood: str = ""
    df_slopes: float = NAN
    likelihood: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.columns:
            object.__setattr__(self, "columns", self.names)
        object.__setattr__(self, "status", marked(self.status, self.provenance))

    @property
    def line(self) -> Line:
        """The linear predictor; what is not identifiable has no part in it."""
        return Line(self.centre, np.nan_to_num(self.coef), self.at_centre)

    @property
    def terms_of(self) -> tuple[str, ...]:
        """Those of `columns` that the terms are made of: all but offset and exposure."""
        return self.columns[: len(self.columns) - len(self.likelihood.get("beside", ()))]

    @property
    def df_test(self) -> float:
        """Degrees of freedom of the tests: infinite, for the normal distribution, where the dispersion is known."""
        if self.sandwich is not None:
            return self.sandwich.df
        by = self.likelihood.get("dispersion_by", "known" if family(self.family).dispersion_known else "")
        return float("inf") if by == "known" else self.df_resid

    @property
    def errors(self) -> str:
        """What the standard errors allow for: "classical" is errors of equal variance, without correlation."""
        return "classical" if self.sandwich is None else self.sandwich.kind

    @property
    def tvalues(self) -> Float:
        """Estimate / standard error, shape (p,)."""
        return statistics.t_statistics(self.coef, self.std_errors)

    tstats, intercept_tstat, level = Renamed("tvalues"), Renamed("intercept_tvalue"), Renamed("method")

    @property
    def pvalues(self) -> Float:
        """Two-sided p-values of the slopes, shape (p,)."""
        return statistics.t_pvalues(self.tvalues, self.df_test)

    @typed
    def conf_int(self, level: float = 0.95) -> Float:
        """Return confidence intervals of the slopes, shape (p, 2); `level` is a share between 0 and 1."""
        return statistics.t_interval(self.coef, self.std_errors, self.df_test, level)

    @property
    def intercept_tvalue(self) -> float:
        """Intercept / its standard error."""
        return float(statistics.t_statistics(self.intercept, self.intercept_std_error))

    @property
    def intercept_pvalue(self) -> float:
        """Two-sided p-value of the intercept."""
        return float(statistics.t_pvalues(self.intercept_tvalue, self.df_test))

    @typed
    def intercept_conf_int(self, level: float = 0.95) -> Float:
        """Return the confidence interval of the intercept, shape (2,)."""
        return statistics.t_interval(self.intercept, self.intercept_std_error, self.df_test, level)

    @property
    def about_mean(self) -> bool:
        """Whether `tss` and `rsquared` are about the mean of the target rather than about zero."""
        return self.has_intercept or self.constant

    @property
    def rsquared(self) -> float:
        """Share of the total sum of squares explained; of the deviance, in families other than gaussian."""
        if not family(self.family).least_squares:
            return statistics.r_squared(self.null_deviance, self.deviance)
        return statistics.r_squared(self.tss, self.rss)

    @property
    def rsquared_adj(self) -> float:
        """R2 adjusted for degrees of freedom; NaN in families other than gaussian."""
        if not family(self.family).least_squares:
            return NAN
        total = self.nobs - self.about_mean
        return statistics.adjusted_r_squared(self.tss, self.rss, total, self.df_resid)

    @property
    def sigma(self) -> float:
        """Root of the dispersion: of a line ``sqrt(rss / df_resid)``."""
        if "dispersion" in self.likelihood:
            return float(np.sqrt(self.likelihood["dispersion"]))
        if family(self.family).dispersion_known:
            return 1.0
        return float(np.sqrt(self.rss / self.df_resid)) if self.df_resid > 0 else NAN

    @cached_property
    def _f(self) -> tuple[float, float]:
        if self.no_f:
            return NAN, NAN
        if self.sandwich is not None and self.geometry is not None:
            slopes = self.geometry.orthonormal(self.coef)
            return statistics.wald_f(slopes, self.sandwich.meat[1:, 1:], self.sandwich.df)
        df_model = self.rank - (self.constant and not self.has_intercept)
        total = self.tss if self.absorbed is None else self.absorbed.tss
        return statistics.f_test(total, self.rss, df_model, self.df_resid)

    @property
    def no_f(self) -> str:
        """Why there is no F test of all slopes together; empty if there is one."""
        from streamreg.results.withheld import no_f

        return no_f(self)

    fvalue = property(lambda self: self._f[0], doc="F statistic of all slopes together; NaN where `no_f` says why.")
    f_pvalue = property(lambda self: self._f[1], doc="p-value of `fvalue`.")

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood at the estimates; NaN, as are AIC and BIC, where `no_likelihood` says why."""
        if self.no_likelihood:
            return NAN
        if not family(self.family).least_squares:
            return self.log_lik
        return statistics.log_likelihood(self.rss, self.nobs, self.log_weight)

    @property
    def aic(self) -> float:
        """Akaike's criterion, which counts `parameters`."""
        return statistics.aic(self.log_likelihood, self.parameters)

    @property
    def bic(self) -> float:
        """Schwarz's criterion, likewise."""
        return statistics.bic(self.log_likelihood, self.parameters, self.nobs)

    @property
    def parameters(self) -> float:
        """Degrees of freedom of slopes (`rank`, or `df_slopes` under a penalty), intercept and absorbed effects.

        An alpha or a power that was estimated counts as one more.
        """
        effects = 0 if self.absorbed is None else self.absorbed.df - 1
        slopes = self.rank if np.isnan(self.df_slopes) else self.df_slopes
        return slopes + self.has_intercept + effects + ("estimated" in self.likelihood)
