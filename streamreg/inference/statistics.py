"""Tests, intervals and information criteria: pure functions of arrays. What is undefined is NaN."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.errors import UsageError
from streamreg.inference.distributions import f_tail, t_quantile, t_tails

Float = NDArray[np.float64]
NAN = float("nan")

_SINGULAR = 1e-13  # variances and eigenvalues below this, relative to the others, are rounding


def t_statistics(estimates: ArrayLike, std_errors: ArrayLike) -> Float:
    """Return estimate / standard error; infinite where a non-zero estimate has error zero (a perfect fit)."""
    estimates, std_errors = np.asarray(estimates, dtype=np.float64), np.asarray(std_errors, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(estimates / std_errors)


def t_pvalues(t: ArrayLike, df: float) -> Float:
    """Return two-sided p-values of Student's t with `df` degrees of freedom."""
    return t_tails(t, df)


def require_level(level: float) -> None:
    """Raise `UsageError` if `level` is not between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise UsageError(f"level is {level:g}; it is a share, as in 0.95")


def t_interval(estimates: ArrayLike, std_errors: ArrayLike, df: float, level: float = 0.95) -> Float:
    """Return confidence intervals, shape (..., 2)."""
    require_level(level)
    estimates, std_errors = np.asarray(estimates, dtype=np.float64), np.asarray(std_errors, dtype=np.float64)
    width = std_errors * t_quantile(1.0 - level, df)
    return np.stack([estimates - width, estimates + width], axis=-1)


def f_test(tss: float, rss: float, df_model: int, df_resid: float) -> tuple[float, float]:
    """Return F and its p-value for the hypothesis that all slopes are zero."""
    if df_model < 1 or not df_resid > 0:
        return NAN, NAN
    if rss == 0:
        return (math.inf, 0.0) if tss > 0 else (NAN, NAN)
    f = max(tss - rss, 0.0) / df_model / (rss / df_resid)
    return f, float(f_tail(f, df_model, df_resid))


def wald_f(estimates: Float, cov: Float, df: float) -> tuple[float, float]:
    """Return Wald's statistic for the hypothesis that all estimates are zero, divided by their number, and its p-value.

    The p-value is that of the F distribution with `df` degrees of freedom below; NaN for a singular covariance.
    """
    q = len(estimates)
    if not q or not df > 0 or rank_of(cov) < q:
        return NAN, NAN
    root = np.sqrt(np.diag(cov))
    f = float(estimates / root @ np.linalg.solve(cov / root[:, None] / root, estimates / root)) / q
    return f, float(f_tail(f, q, df))


def rank_of(cov: Float) -> int:
    """Return the rank of a covariance, scaled to unit diagonal, as far as float64 tells it."""
    variance = np.diag(cov)
    known = np.flatnonzero(variance > _SINGULAR * variance.max(initial=0.0))
    if not len(known):
        return 0
    root = np.sqrt(variance[known])
    values = np.linalg.eigvalsh(cov[np.ix_(known, known)] / root[:, None] / root)
    return int(np.count_nonzero(values > _SINGULAR * len(known)))


def r_squared(tss: float, rss: float) -> float:
    """Return the share of the total sum of squares that is explained; NaN for a constant target."""
    return 1.0 - rss / tss if tss > 0 else NAN


def adjusted_r_squared(tss: float, rss: float, df_total: float, df_resid: float) -> float:
    """Return R2 with both sums divided by their degrees of freedom."""
    if not (tss > 0 and df_resid > 0):
        return NAN
    return 1.0 - (rss / df_resid) / (tss / df_total)


def log_likelihood(rss: float, n: float, log_weight: float = 0.0) -> float:
    """Return the Gaussian log-likelihood at its maximum over the variance.

    `log_weight` is the sum of the logarithms of analytic weights (the variance of row i is sigma**2 / w_i).
    """
    if not n > 0:
        return NAN
    if rss == 0:
        return math.inf
    return -0.5 * n * (math.log(2.0 * math.pi) + math.log(rss / n) + 1.0) + 0.5 * log_weight


def aic(log_lik: float, parameters: float) -> float:
    """Return Akaike's criterion; the error variance is not counted as a parameter, as in statsmodels."""
    return 2.0 * parameters - 2.0 * log_lik


def bic(log_lik: float, parameters: float, n: float) -> float:
    """Return Schwarz's criterion, with the same count of parameters as `aic`."""
    return parameters * math.log(n) - 2.0 * log_lik if n > 0 else NAN


def weighted_mean_and_error(values: ArrayLike, weights: ArrayLike) -> tuple[Float, Float]:
    """Return the mean over the last axis, weighted, and its standard error ``sqrt(weighted variance / (k - 1))``.

    For held-out errors of k folds and their sizes: the error over all rows, as glmnet reports it.
    """
    values, weights = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    share = weights / weights.sum()
    mean = np.asarray(values @ share)
    return mean, np.asarray(np.sqrt((values - mean[..., None]) ** 2 @ share / (len(weights) - 1)))
