"""The numbers that results show: how to get each, its reference, and the error that the promised digits allow.

Errors of numbers that are computed from others (a t from a coefficient and its error) follow from the digits promised
for these, to first order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from truth import Covariance, Line, Wald, distance, f_tail, number, t_tails

from streamreg.results.base import FitResult
from streamreg.results.restricted import RestrictionTest

Float = NDArray[np.float64]

SLACK = 10**0.3  # a promise may be wrong by this much
LAST = 4e-16  # rounding of the last operations
NOTHING = 1e60  # error of a number of which no digit is promised
TAIL = 1e-11  # relative error of a tail probability for exact arguments


def floats(values: Sequence[Any]) -> Float:
    return np.array([float(v) for v in values])


@dataclass
class Shown:
    """A number, or several: as shown, in truth (None: not defined), and the absolute error that is allowed.

    `aim` is the error that a fit must not exceed where it went up the ladder by itself.
    """

    got: Any
    want: Sequence[Any]
    allowed: Any
    aim: Any = np.inf

    def faults(self, aimed: bool) -> list[str]:
        """Return what is wrong, each in words."""
        got = np.atleast_1d(np.asarray(self.got, dtype=np.float64)).ravel()
        allowed = np.broadcast_to(self.allowed, got.shape) * SLACK
        if aimed:
            allowed = np.minimum(allowed, np.broadcast_to(self.aim, got.shape) * SLACK)
        assert len(got) == len(self.want), (got, self.want)
        found = []
        for value, true, error in zip(got, self.want, allowed, strict=True):
            if true is None or not true.is_finite():
                if np.isfinite(value):
                    found.append(f"{value:.6g} where nothing is defined")
            elif not np.isfinite(value):
                found.append(f"{value} where it is {float(true):.6g}")
            elif (wrong := distance(value, true)) > error + 1e-100:
                found.append(f"{value:.17g} for {float(true):.17g}: off by {wrong:.2g}, allowed {error:.2g}")
        return found


@dataclass
class Case:
    """A fit beside its reference."""

    fit: FitResult
    line: Line
    cov: Covariance
    digits_se: float  # of the classical errors and of the residual sum, which robust errors do not change
    x: Float

    def __post_init__(self) -> None:
        self.line.settle(self.fit.about_mean)

    @property
    def slopes(self) -> list[Any]:
        return self.line.coef[int(self.line.intercept) :]

    @property
    def errors(self) -> list[Any]:
        return self.cov.errors[int(self.line.intercept) :]

    @property
    def given(self) -> NDArray[np.bool_]:
        """Which coefficients have an error above zero: no residual bears on a dummy of a single row."""
        return floats(self.cov.errors) > 1e-60

    @property
    def off(self) -> Float:
        """Errors of all coefficients, as promised: none at all is promised with no digit."""
        promised = np.array([*([self.fit.digits_intercept] if self.line.intercept else []), *self.fit.digits])
        size = np.abs(floats(self.line.coef))
        return np.where(promised > 0, size * (10.0**-promised + LAST), NOTHING)

    @property
    def share(self) -> float:
        """Relative error of the standard errors, as promised."""
        return 10.0**-self.fit.digits_se + LAST if self.fit.digits_se > 0 else NOTHING

    @property
    def rss_share(self) -> float:
        return 2 * 10.0**-self.digits_se + 4 * LAST if self.digits_se > 0 else NOTHING


def coef(c: Case) -> Shown:
    size = np.maximum(np.abs(floats(c.slopes)), np.nan_to_num(floats(c.errors)))
    return Shown(c.fit.coef, c.slopes, c.off[int(c.line.intercept) :], 1e-10 * size)


def intercept(c: Case) -> Shown:
    if not c.line.intercept:
        return Shown(c.fit.intercept, [number(0)], 0.0)
    size = max(abs(float(c.line.coef[0])), float(c.cov.errors[0]))
    return Shown(c.fit.intercept, c.line.coef[:1], c.off[0], 1e-10 * size)


def _every(c: Case, slopes: Any, first: float) -> Float:
    return np.array([first, *slopes]) if c.line.intercept else np.asarray(slopes)


def std_errors(c: Case) -> Shown:
    size, got = floats(c.cov.errors), _every(c, c.fit.std_errors, c.fit.intercept_std_error)
    withheld = ~np.asarray(c.given) & np.isfinite(size)  # an error of zero may be
    got = np.where(withheld, np.nan_to_num(got), got)
    allowed = np.where(c.given, size * c.share, 1e-8 * floats(c.line.classical.errors))
    return Shown(got, c.cov.errors, allowed, np.where(c.given, 1e-6 * size, np.inf))


def _t(c: Case) -> tuple[list[Any], Float]:
    pairs = zip(c.line.coef, c.cov.errors, c.given, strict=True)
    true = [b / e if given else None for b, e, given in pairs]
    size = np.array([0.0 if t is None else abs(float(t)) for t in true])
    return true, c.off / np.where(c.given, floats(c.cov.errors), np.inf) + size * (c.share + LAST)


def tvalues(c: Case) -> Shown:
    true, off = _t(c)
    return Shown(_every(c, c.fit.tvalues, c.fit.intercept_tvalue), true, off, 2e-6 + off * 1e6)


def pvalues(c: Case) -> Shown:
    true, off = _t(c)
    p = [None if t is None else t_tails(t, c.cov.df) for t in true]
    allowed = np.zeros(len(p))
    for k, (t, tail) in enumerate(zip(true, p, strict=True)):
        if t is not None:
            near = t_tails(number(max(abs(float(t)) - off[k], 0.0)), c.cov.df)
            allowed[k] = float(near - tail) + TAIL * float(tail)
    return Shown(_every(c, c.fit.pvalues, c.fit.intercept_pvalue), p, allowed)


def conf_int(c: Case) -> Shown:
    q, size = c.cov.quantile, floats(c.cov.errors)
    true = [b + s * q * e for b, e in zip(c.line.coef, c.cov.errors, strict=True) for s in (-1, 1)]
    ends = c.fit.conf_int()
    got = np.vstack([c.fit.intercept_conf_int(), ends]) if c.line.intercept else ends
    off = c.off + size * float(q) * (c.share + TAIL) + LAST * floats([abs(b) for b in c.line.coef])
    aim, given = 5e-6 * np.maximum(size, np.abs(floats(c.line.coef))), np.repeat(c.given, 2)
    true = [v for v, known in zip(true, given, strict=True) if known]
    return Shown(np.ravel(got)[given], true, np.repeat(off, 2)[given], np.repeat(aim, 2)[given])


def cov(c: Case) -> Shown:
    first, m = int(c.line.intercept), c.cov.cov
    pairs = [(i, j) for i in range(first, c.line.k) for j in range(first, c.line.k)]
    pairs = [(i, j) for i, j in pairs if c.given[i] and c.given[j]]
    size = np.array([float(c.cov.errors[i]) * float(c.cov.errors[j]) for i, j in pairs])
    got = [c.fit.cov()[i - first, j - first] for i, j in pairs]
    return Shown(got, [m[i, j] for i, j in pairs], 2 * size * c.share, 4e-6 * size)


def f_test(c: Case) -> Shown:
    """Of all slopes: the statistic and its p-value."""
    line, r = c.line, c.line.params - int(c.line.about_mean)
    if c.fit.sandwich is not None:
        if line.about_mean and not line.intercept:  # which of the columns stands for the constant is not known
            return Shown([c.fit.fvalue, c.fit.f_pvalue], [None, None], 0.0)
        first = int(line.intercept)
        rows = [[float(i == j) for j in range(line.k)] for i in range(first, line.k)]
        return _wald_shown(c, c.cov.wald(rows, [0.0] * len(rows)), rows, c.fit.fvalue, c.fit.f_pvalue)
    if r < 1:
        return Shown([c.fit.fvalue, c.fit.f_pvalue], [None, None], 0.0)
    f = (line.tss - line.rss) / r / (line.rss / number(line.df))
    share = c.rss_share * (1 + abs(float(line.rss / (line.tss - line.rss)))) + 4 * LAST * float(
        line.tss / (line.tss - line.rss)
    )
    return _tested(c.fit.fvalue, c.fit.f_pvalue, f, r, line.df, share)


def _tested(got: float, p: float, f: Any, q: int, df: float, share: float) -> Shown:
    """An F statistic of a relative error, and its p-value."""
    true = f_tail(f, q, df)
    near = f_tail(f * number(max(1 - share, 0.0)), q, df) - true
    size = abs(float(f))
    return Shown([got, p], [f, true], [size * share, float(near) + TAIL * float(true)], [2e-6 * (1 + size), np.inf])


def _wald_shown(c: Case, test: Wald | None, rows: Any, f: float, p: float) -> Shown:
    if test is None:
        return Shown([f, p], [None, None], 0.0)
    return _tested(f, p, test.f, test.q, test.df, wald_share(c, test, rows))


def wald_share(c: Case, test: Wald, rows: Any) -> float:
    """Relative error of Wald's statistic, as the digits of coefficients and errors allow."""
    off = np.abs(np.asarray(rows, dtype=float)) @ c.off
    reach = sum(o * float(test.inverse[i, i].sqrt()) for i, o in enumerate(off))
    size = float(test.chi2)
    return (2 * np.sqrt(size) * reach + reach**2) / max(size, 1e-300) + 4 * c.share + 1e-10


def wald_shown(c: Case, test: Wald, rows: Any, got: RestrictionTest) -> Shown:
    """All numbers of a test of restrictions, by the digits of its own."""
    share = 10.0**-got.digits * max(1.0, 1.0 / max(float(test.f), 1e-300)) if got.digits > 0 else NOTHING
    size, chi2_p, p, lower = float(test.chi2), test.chi2_p, test.p, number(max(1 - share, 0.0))
    p_off = float(f_tail(test.f * lower, test.q, test.df) - p) + TAIL * float(p)
    chi2_off = float(f_tail(test.f * lower, test.q, np.inf) - chi2_p) + TAIL * float(chi2_p)
    errors, terms = floats(test.errors), np.abs(np.asarray(rows, dtype=float))
    # A difference of coefficients is known as well as they are.
    gap = terms @ (c.off + LAST * np.abs(floats(c.line.coef))) + LAST
    errors_off = errors * (max(c.share, 10.0**-got.digits if got.digits > 0 else NOTHING) + LAST)
    return Shown(
        [got.chi2, got.fvalue, got.pvalue, got.chi2_pvalue, got.df_num, got.df_denom, *got.estimate, *got.std_errors],
        [test.chi2, test.f, p, chi2_p, number(test.q), number(test.df), *test.gap, *test.errors],
        [size * share, size * share / test.q, p_off, chi2_off, 0.0, 0.0, *gap, *errors_off],
        [2e-6 * (1 + size), 2e-6 * (1 + size), *[np.inf] * 4, *(1e-6 * errors + gap), *(1e-6 * errors)],
    )


def rsquared(c: Case) -> Shown:
    share = float(c.line.rss / c.line.tss)
    return Shown(c.fit.rsquared, [c.line.r_squared], share * c.rss_share + 2 * LAST, 2e-6 * share + 2 * LAST)


def rsquared_adj(c: Case) -> Shown:
    line = c.line
    total = line.nobs - int(line.about_mean)
    share = float(line.rss / line.tss) * total / line.df
    true = 1 - (line.rss / number(line.df)) / (line.tss / number(total))
    return Shown(c.fit.rsquared_adj, [true], share * c.rss_share + 4 * LAST * (1 + share))


def sums(c: Case) -> Shown:
    """Residual and total sum of squares, and the standard error of the regression."""
    line = c.line
    true = [line.rss, line.tss, (line.rss / number(line.df)).sqrt()]
    return Shown([c.fit.rss, c.fit.tss, c.fit.sigma], true, floats(true) * [c.rss_share, 1e-13, c.rss_share])


def likelihood(c: Case) -> Shown:
    """Log-likelihood, and the criteria of Akaike and Schwarz."""
    line, n = c.line, c.line.nobs
    ll = line.log_likelihood
    true = [ll, 2 * line.params - 2 * ll, line.params * number(n).log() - 2 * ll]
    off = n * c.rss_share + 1e-13 * (n * (1 + abs(float((line.rss / number(n)).log()))) + abs(float(ll)))
    return Shown([c.fit.log_likelihood, c.fit.aic, c.fit.bic], true, np.array([0.5, 1, 1]) * off)


def predictions(c: Case) -> Shown:
    first = int(c.line.intercept)
    centre = c.fit.centre if c.line.intercept else np.zeros(c.x.shape[1])
    off = np.abs(c.x - centre) @ (c.off[first:] + 2 * LAST * np.abs(floats(c.slopes)))
    level = abs(float(sum(c.line.y, number(0)) / c.line.n)) if first else 0.0
    size = np.abs(floats(c.line.fitted)) + float(c.line.tss.sqrt()) / np.sqrt(c.line.n)
    return Shown(c.fit.predict(c.x), c.line.fitted, off + 4 * LAST * (level + size))


def counts(c: Case) -> Shown:
    """Rank, observations, degrees of freedom."""
    line = c.line
    got = [c.fit.rank, c.fit.nobs, c.fit.df_resid, c.fit.n, c.fit.df_test]
    true = [line.params - int(line.intercept), line.nobs, line.df, line.n, c.cov.df]
    return Shown(got, [number(float(v)) for v in true], 0.0)


def vif(c: Case) -> Shown:
    true = c.line.vif
    return Shown(c.fit.conditioning().vif, true, 2 * floats(true) * 10.0**-c.digits_se + 8 * LAST * floats(true))


def condition(c: Case) -> Shown:
    """Condition number and condition indices."""
    indices, _ = c.line.principal
    share = 10.0**-c.digits_se + 1e-3
    size = floats(indices)
    return Shown([c.fit.condition, *c.fit.conditioning().indices], [indices[0], *indices], share * np.r_[size[0], size])


def proportions(c: Case) -> Shown:
    """Shares of the variance of each coefficient; directions of equal length are not told apart by anyone."""
    indices, shares = c.line.principal
    got, lengths = c.fit.conditioning().proportions, floats(indices) ** -2
    gap = np.min(np.abs(np.diff(lengths)) / lengths[1:], initial=1.0)
    allowed = 1e-3 + (10.0**-c.digits_se + 1e-14) * c.line.k / max(gap, 1e-300)
    return Shown(got, [v for share in shares for v in share], allowed)


def terms(c: Case) -> Shown:
    """The sum of squares that the last column adds: ``(b / error)**2 sigma**2``."""
    error = c.line.classical.errors[-1] if len(c.slopes) else number(0)
    if c.fit.sandwich is not None or not c.fit.identifiable.all() or not float(error) > 1e-60 or not c.fit.sigma > 0:
        return Shown([], [], 0.0)
    found, t = c.fit.anova(), c.slopes[-1] / error
    want = t**2 * c.line.rss / number(c.line.df)
    off = float(want) * (10.0 ** -found.digits[-1] + LAST) if found.digits[-1] > 0 else NOTHING
    return Shown([found.sums[-1]], [want], off)


Number = Callable[[Case], Shown]

ESTIMATES: tuple[Number, ...] = (coef, intercept, predictions)
TESTS: tuple[Number, ...] = (std_errors, tvalues, pvalues, conf_int, cov, f_test, counts)
FIT: tuple[Number, ...] = (rsquared, rsquared_adj, sums, likelihood, terms)
COLUMNS: tuple[Number, ...] = (vif, condition, proportions)


def faults(case: Case, numbers: Sequence[Number], aimed: bool) -> list[str]:
    """Return all that is wrong with the numbers of a fit."""
    return [f"{n.__name__}: {text}" for n in numbers for text in n(case).faults(aimed)]


def hold(faulty: Sequence[str]) -> None:
    """Fail with all faults in words, the first ones in full."""
    if faulty:
        pytest.fail(
            "\n".join([*faulty[:12], *([f"... and {len(faulty) - 12} more"] if len(faulty) > 12 else [])]), False
        )
