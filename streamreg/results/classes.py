"""What a regression of classes returns: coefficients for each class or thresholds, tests, probabilities."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import typed
from streamreg.inference import statistics
from streamreg.inference.distributions import f_tail
from streamreg.reporting.frames import frame
from streamreg.reporting.result import Result
from streamreg.reporting.table import Table
from streamreg.results.class_predict import ClassPredictor
from streamreg.results.sense import of_classes
from streamreg.stats.provenance import marked

Float = NDArray[np.float64]

CONSTANT = "(intercept)"


@dataclass(frozen=True, eq=False, repr=False)
class ClassFit(ClassPredictor, Result):
    """Estimates of a multinomial or an ordered regression, and what is known about them.

    Attributes
    ----------
    names : tuple of str
        Of the q coefficients. Multinomial: ``"class:term"``, class by class but for the base. Ordered: the terms, then
        the thresholds, ``"low|high"``.
    target : str
    classes : tuple of str
        The K classes, in their order.
    whole : bool
        Whether the classes are whole numbers.
    counts : int ndarray of shape (K,)
        Rows of each class.
    base : str
        The class that others are compared with; empty for ordered classes.
    link : str
        "logit" or "probit".
    terms : tuple of str
        The p columns and their powers.
    has_intercept : bool
        Whether each class has a constant, its first coefficient.
    coef, std_errors : ndarray of shape (q,)
        In the order of `names`, in the units of the data; NaN where the data do not determine one. See `slopes`,
        `intercepts` and `thresholds` for views by class.
    covariance : ndarray of shape (q, q)
    identifiable : bool ndarray of shape (q,)
    dependencies : tuple of str
        Each column that depends on others and was left out, written out.
    log_likelihood, null_log_likelihood : float
        At the estimates, and without the columns.
    n, n_read, n_missing : int
        Rows used, read, and left out for a missing value.
    nobs : float
        Observations: `n`, or the sum of frequency weights.
    rank : int
        How many coefficients were estimated.
    digits : ndarray of shape (q,)
        Decimal digits of `coef` to trust.
    centre : ndarray of shape (p,)
    at_centre : ndarray of shape (K - 1,)
    slopes_at_centre : ndarray of shape (K - 1, p) or (1, p)
        The predictors as ``at_centre + (x - centre)'slopes``, which keeps the digits that intercepts lose.
    passes : int
        Times that the rows were read.
    status : str
        "ok", "dependent", or why the answer is not final.
    seconds : float
        Wall time of the fit.
    model, source : dict, str
        The options of the model, and where the rows came from.
    columns : tuple of str
        The columns that predictions need.
    powers, encoder, provenance : dict
        As of `FitResult`.
    """

    KIND: ClassVar[str] = "fit of classes"
    _APART: ClassVar[tuple[str, ...]] = ("covariance", "centre", "at_centre", "slopes_at_centre")
    _ASKED: ClassVar[tuple[str, ...]] = (
        *("tvalues", "pvalues", "df_resid", "pseudo_rsquared"),
        *("lr_statistic", "lr_df", "lr_pvalue", "aic", "bic"),
    )

    names: tuple[str, ...]
    target: str
    classes: tuple[str, ...]
    whole: bool
    counts: NDArray[np.int64]
    base: str
    link: str
    terms: tuple[str, ...]
    has_intercept: bool
    coef: Float
    std_errors: Float
    covariance: Float
    identifiable: NDArray[np.bool_]
    dependencies: tuple[str, ...]
    log_likelihood: float
    null_log_likelihood: float
    n: int
    n_read: int
    n_missing: int
    nobs: float
    rank: int
    digits: Float
    centre: Float
    at_centre: Float
    slopes_at_centre: Float
    passes: int
    status: str
    seconds: float
    model: dict[str, Any]
    source: str
    columns: tuple[str, ...]
    powers: dict[str, int] = field(default_factory=dict)
    encoder: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", marked(self.status, self.provenance))

    @property
    def ordered(self) -> bool:
        """Whether the classes are in order, with thresholds between them."""
        return not self.base

    @property
    def slopes(self) -> Float:
        """Coefficients of the terms: of shape (K - 1, p), a row for each class but the base; ordered: (p,)."""
        if self.ordered:
            return self.coef[: len(self.terms)]
        return self._by_class(self.coef)[:, int(self.has_intercept) :]

    @property
    def intercepts(self) -> Float:
        """Constants of the classes but the base, shape (K - 1,); empty where there are none."""
        if self.ordered or not self.has_intercept:
            return np.zeros(0)
        return self._by_class(self.coef)[:, 0]

    @property
    def thresholds(self) -> Float:
        """Thresholds between ordered classes, shape (K - 1,), in rising order; else empty."""
        return self.coef[len(self.terms) :] if self.ordered else np.zeros(0)

    def _by_class(self, values: Float) -> Float:
        return values.reshape(len(self.classes) - 1, -1)

    @property
    def tvalues(self) -> Float:
        """Estimate / standard error, shape (q,): z of the normal distribution."""
        return statistics.t_statistics(self.coef, self.std_errors)

    @property
    def pvalues(self) -> Float:
        """Two-sided p-values, shape (q,)."""
        return statistics.t_pvalues(self.tvalues, float("inf"))

    @typed
    def conf_int(self, level: float = 0.95) -> Float:
        """Return confidence intervals, shape (q, 2); `level` is a share between 0 and 1."""
        return statistics.t_interval(self.coef, self.std_errors, float("inf"), level)

    def cov(self) -> Float:
        """Return the covariance of the coefficients, shape (q, q); NaN where one is not identifiable."""
        return self.covariance

    @property
    def df_resid(self) -> float:
        """Observations less coefficients."""
        return self.nobs - self.rank

    @property
    def pseudo_rsquared(self) -> float:
        """McFadden's: the share of the null model's log-likelihood that the columns explain."""
        null = self.null_log_likelihood
        return 1.0 - self.log_likelihood / null if null < 0 else float("nan")

    @property
    def lr_statistic(self) -> float:
        """Likelihood-ratio statistic of all terms together."""
        return 2.0 * (self.log_likelihood - self.null_log_likelihood)

    @property
    def lr_df(self) -> int:
        """Its degrees of freedom: the slopes that were estimated."""
        constants = 0 if not (self.ordered or self.has_intercept) else len(self.classes) - 1
        return self.rank - constants

    @property
    def lr_pvalue(self) -> float:
        """p-value of `lr_statistic`, by the chi-squared distribution."""
        df = self.lr_df
        return float(f_tail(self.lr_statistic / df, df, np.inf)) if df else float("nan")

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return statistics.aic(self.log_likelihood, self.rank)

    @property
    def bic(self) -> float:
        """Schwarz's criterion."""
        return statistics.bic(self.log_likelihood, self.rank, self.nobs)

    def __repr__(self) -> str:
        return (
            f"<ClassFit of {self.target}, {len(self.classes)} classes, {self.n:,} rows of {self.source}: {self.status}>"
        )

    @typed
    def table(self, rows: int | None = None, level: float = 0.95) -> Table:
        """Return estimates, errors and diagnostics as a table.

        Parameters
        ----------
        rows : int, optional
            Show only so many coefficients.
        level : float
            Of the confidence intervals, between 0 and 1.
        """
        from streamreg.results.class_summary import table

        return table(self, rows, level)

    @typed
    def summary(self, rows: int | None = None) -> str:
        """Return a table of estimates, errors and diagnostics; `rows` shows only the first few coefficients."""
        return self.table(rows).text()

    @typed
    def to_frame(self, level: float = 0.95) -> Any:
        """Return the table of coefficients as a data frame of pandas, or of polars where pandas is not installed.

        Raises
        ------
        MissingExtra
            Neither is installed.
        """
        return frame(self.table(level=level).data())

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain Python values, for JSON; what is undefined is None."""
        from streamreg.persist import archive

        return super().to_dict() | {"conf_int": archive.plain(self.conf_int())}

    def _sense(self) -> None:
        of_classes(self)
