"""References in 240 digits: normal equations in arithmetic that carries a bound of its own error (Arb's balls).

Nothing here is shared with the package: the rows are taken as they are, never centred or scaled, and 240 digits are
more than the square of any condition number of float64 columns takes away.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx
from scipy import stats

ctx.dps = 240


def number(value: Any) -> arb:
    """Return a number of the data without any rounding."""
    return value if isinstance(value, arb) else arb(int(value) if isinstance(value, int | np.integer) else float(value))


def matrix(rows: Any) -> arb_mat:
    """Return a table of numbers without any rounding."""
    return arb_mat([[number(v) for v in row] for row in rows])


def column(values: Any) -> arb_mat:
    """Return numbers as a matrix of one column."""
    return arb_mat([[number(v)] for v in values])


def flat(values: arb_mat) -> list[arb]:
    """Return the entries of a matrix in a list."""
    return values.entries()


def distance(value: float, truth: arb) -> float:
    """Return the absolute error of a float."""
    return float(abs(arb(float(value)) - truth))


def determined(m: arb_mat) -> arb_mat | None:
    """Return the inverse of a matrix; None if it is singular to 100 digits."""
    try:
        inverse = m.inv()
    except ZeroDivisionError:
        return None
    return inverse if all(v.is_finite() and v.rad() < 1e-30 * (1 + abs(v)) for v in flat(inverse)) else None


def positive(m: arb_mat) -> bool:
    """Whether a symmetric matrix is positive definite, by its leading minors (diagonal scaled to one)."""
    k = m.nrows()
    if not all(m[i, i] > 0 for i in range(k)):
        return False
    root = [m[i, i].sqrt() for i in range(k)]
    unit = [[m[i, j] / root[i] / root[j] for j in range(k)] for i in range(k)]
    return all(arb_mat([row[: j + 1] for row in unit[: j + 1]]).det() > 1e-80 for j in range(k))


def t_tails(t: arb, df: float) -> arb:
    """Return the two-sided p-value of Student's t, or of the normal distribution for infinite `df`."""
    return f_tail(t * t, 1, df)


def f_tail(f: arb, num: int, denom: float) -> arb:
    """Return the p-value of an F statistic, by the regularised incomplete beta function."""
    with ctx.workdps(60):
        if np.isinf(denom):
            return (f * num / 2).gamma_upper(arb(num) / 2, regularized=1)
        m, n = number(num), number(denom)
        return (n / (n + m * f)).beta_lower(n / 2, m / 2, regularized=1)


def t_quantile(alpha: float, df: float) -> arb:
    """Return the value that Student's t exceeds in size with probability `alpha`: Newton's method on the tails."""
    q, target = arb(float(stats.norm.isf(alpha / 2) if np.isinf(df) else stats.t.isf(alpha / 2, df))), arb(alpha)
    for _ in range(3):
        h = arb(10) ** -20
        slope = (t_tails(q + h, df) - t_tails(q - h, df)) / (2 * h)
        q = (q - (t_tails(q, df) - target) / slope).mid()
    return q


class Covariance:
    """A covariance of estimates with the degrees of freedom of its tests."""

    def __init__(self, coef: list[arb], cov: arb_mat, df: float) -> None:
        self.coef, self.cov, self.df = coef, cov, df

    @cached_property
    def errors(self) -> list[arb]:
        """Standard errors; NaN for a negative variance, zero for one that restrictions leave no room."""
        found = [self.cov[i, i] for i in range(len(self.coef))]
        return [arb(0) if abs(v) < arb(10) ** -100 else v.sqrt() for v in found]

    @cached_property
    def quantile(self) -> arb:
        """Half the width of a 95 % interval, in standard errors."""
        return t_quantile(1.0 - 0.95, self.df)

    def wald(self, rows: Sequence[Sequence[float]], values: Sequence[float]) -> "Wald | None":
        """Return Wald's test of ``rows @ coef = values``; None where the covariance of these has no full rank."""
        r = matrix(rows)
        gap = r * column(self.coef) - column(values)
        spread = r * self.cov * r.transpose()
        if not positive(spread):
            return None
        inverse = determined(spread)
        return None if inverse is None else Wald(gap, spread, inverse, self.df)


class Wald:
    """Wald's test of linear restrictions."""

    def __init__(self, gap: arb_mat, spread: arb_mat, inverse: arb_mat, df: float) -> None:
        self.gap, self.spread, self.inverse, self.df = flat(gap), spread, inverse, df
        self.q = len(self.gap)
        self.chi2 = (gap.transpose() * inverse * gap)[0, 0]
        self.f = self.chi2 / self.q
        self.errors = [spread[i, i].sqrt() for i in range(self.q)]

    @property
    def p(self) -> arb:
        return f_tail(self.f, self.q, self.df)

    @property
    def chi2_p(self) -> arb:
        return f_tail(self.f, self.q, np.inf)


class Line:
    """Weighted least squares of rows, with a constant first if there is an intercept.

    Parameters
    ----------
    x, y, weight : arrays
    intercept : bool
    frequency : bool
        Weights count rows; else they are precisions.
    ridge : float
        Added to the squared error: ``ridge * sum(slopes**2)``.
    restrictions : pair of rows and values
        Equations that the coefficients obey.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        weight: Any = None,
        *,
        intercept: bool = True,
        frequency: bool = False,
        ridge: float | arb = 0.0,
        restrictions: tuple[Any, Any] | None = None,
    ) -> None:
        n = len(y)
        self.n, self.intercept, self.ridge = n, intercept, number(ridge)
        self.rows = [[*([arb(1)] if intercept else []), *(number(v) for v in row)] for row in x]
        self.y = [number(v) for v in y]
        self.w = [arb(1)] * n if weight is None else [number(v) for v in weight]
        self.frequency, self.restrictions = frequency, restrictions
        self.k = len(self.rows[0]) if n else 0
        self.weight = sum(self.w, arb(0))
        self.nobs = float(self.weight) if frequency else float(n)
        self.about_mean = intercept

    @cached_property
    def x(self) -> arb_mat:
        return arb_mat(self.rows)

    def cross(self, rows: Sequence[Sequence[arb]], weights: Sequence[arb]) -> arb_mat:
        """Return ``rows' diag(weights) rows``."""
        heavy = arb_mat([[v * w for v in row] for row, w in zip(rows, weights, strict=True)])
        return arb_mat([list(row) for row in rows]).transpose() * heavy

    @cached_property
    def gram(self) -> arb_mat:
        """Cross-products of the columns, the constant among them, weighted."""
        return self.cross(self.rows, self.w)

    @cached_property
    def bordered(self) -> arb_mat:
        """Normal equations with the penalty and the restrictions."""
        k, (rows, _) = self.k, self.restrictions or ((), ())
        q = len(rows)
        out = [[arb(0)] * (k + q) for _ in range(k + q)]
        for i in range(k):
            for j in range(k):
                out[i][j] = self.gram[i, j] + (self.ridge if i == j and i >= self.intercept else 0)
            for j in range(q):
                out[i][k + j] = out[k + j][i] = number(rows[j][i])
        return arb_mat(out)

    @cached_property
    def full_inverse(self) -> arb_mat:
        return self.bordered.inv()

    @cached_property
    def inverse(self) -> arb_mat:
        """Covariance of the coefficients for errors of variance one."""
        return arb_mat([[self.full_inverse[i, j] for j in range(self.k)] for i in range(self.k)])

    @cached_property
    def coef(self) -> list[arb]:
        rhs = self.x.transpose() * column([v * w for v, w in zip(self.y, self.w, strict=True)])
        values = [] if self.restrictions is None else [number(v) for v in self.restrictions[1]]
        return flat(self.full_inverse * column([*flat(rhs), *values]))[: self.k]

    @cached_property
    def fitted(self) -> list[arb]:
        return flat(self.x * column(self.coef))

    @cached_property
    def resid(self) -> list[arb]:
        return [a - b for a, b in zip(self.y, self.fitted, strict=True)]

    @cached_property
    def rss(self) -> arb:
        return sum((w * e * e for w, e in zip(self.w, self.resid, strict=True)), arb(0))

    @cached_property
    def constant_away(self) -> float:
        """Squared distance of a constant from the columns, relative to its norm; zero with an intercept."""
        if self.intercept:
            return 0.0
        ones = self.x.transpose() * column(self.w)
        return float((self.weight - (ones.transpose() * self.gram.inv() * ones)[0, 0]) / self.weight)

    def settle(self, about_mean: bool) -> None:
        """Take another's word on whether the columns hold a constant, where that is a matter of rounding."""
        self.about_mean = self.intercept or (
            about_mean if 1e-29 < self.constant_away < 1e-12 else self.constant_away <= 1e-29
        )

    @property
    def tss(self) -> arb:
        mean = sum((w * v for w, v in zip(self.w, self.y, strict=True)), arb(0)) / self.weight
        mean = mean if self.about_mean else arb(0)
        return sum((w * (v - mean) ** 2 for w, v in zip(self.w, self.y, strict=True)), arb(0))

    @property
    def params(self) -> int:
        """Free coefficients, the intercept among them."""
        return self.k - len(self.restrictions[0]) if self.restrictions else self.k

    @property
    def df(self) -> float:
        return self.nobs - self.params

    @cached_property
    def effective(self) -> arb:
        """Degrees of freedom that the slopes take up: the trace of what turns the target into fitted values."""
        trace = sum((self.inverse[i, j] * self.gram[j, i] for i in range(self.k) for j in range(self.k)), arb(0))
        return trace - int(self.intercept)

    @cached_property
    def classical(self) -> Covariance:
        return Covariance(self.coef, self.inverse * (self.rss / number(self.df)), self.df)

    @cached_property
    def log_likelihood(self) -> arb:
        n = number(self.nobs)
        logs = arb(0) if self.frequency else sum((w.log() for w in self.w), arb(0))
        return -n / 2 * ((2 * arb.pi() * self.rss / n).log() + 1) + logs / 2

    @cached_property
    def r_squared(self) -> arb:
        return 1 - self.rss / self.tss

    @cached_property
    def leverage(self) -> list[arb]:
        """Of each row; of one of them, where weights count rows."""
        reach = self.x * self.inverse
        out = []
        for i, row in enumerate(self.rows):
            h = sum((reach[i, j] * v for j, v in enumerate(row)), arb(0))
            out.append(h if self.frequency else h * self.w[i])
        return out

    def _robust(self, meat: arb_mat, factor: Any, df: float) -> Covariance:
        return Covariance(self.coef, self.inverse * meat * self.inverse * number(factor), df)

    def hc(self, kind: int) -> Covariance:
        """Return the covariance of White (HC0) and those of MacKinnon and White (HC1 to HC3)."""
        power = {0: 0, 1: 0, 2: 1, 3: 2}[kind]
        each = [e * e / (1 - h) ** power for e, h in zip(self.resid, self.leverage, strict=True)]
        weights = [v * (w if self.frequency else w * w) for v, w in zip(each, self.w, strict=True)]
        factor = number(self.nobs) / number(self.df) if kind == 1 else 1
        return self._robust(self.cross(self.rows, weights), factor, self.df)

    @cached_property
    def scores(self) -> list[list[arb]]:
        return [[w * e * v for v in row] for w, e, row in zip(self.w, self.resid, self.rows, strict=True)]

    def _clustered(self, labels: Sequence[Any]) -> tuple[arb_mat, int]:
        sums: dict[Any, list[arb]] = {}
        for label, row in zip(labels, self.scores, strict=True):
            sums[label] = [a + b for a, b in zip(sums.get(label, [arb(0)] * self.k), row, strict=True)]
        count = len(sums)
        factor = number(count) / (count - 1) * (number(self.nobs) - 1) / number(self.df)
        return self.cross(list(sums.values()), [arb(1)] * count) * factor, count

    def cluster(self, *keys: Sequence[Any]) -> Covariance:
        """Return the covariance for one way of clustering, or two (Cameron, Gelbach and Miller)."""
        parts = [self._clustered([float(v) for v in key]) for key in keys]
        df = min(count for _, count in parts) - 1.0
        meat = parts[0][0]
        if len(keys) == 2:
            both, _ = self._clustered([(float(a), float(b)) for a, b in zip(*keys, strict=True)])
            meat = meat + parts[1][0] - both
        return self._robust(meat, 1, df)

    def newey_west(self, lags: int) -> Covariance:
        """Return the covariance of Newey and West, with Bartlett's weights."""
        s = arb_mat(self.scores)
        meat = s.transpose() * s
        for lag in range(1, lags + 1):
            later, earlier = arb_mat(self.scores[lag:]), arb_mat(self.scores[:-lag])
            cross = later.transpose() * earlier
            meat = meat + (cross + cross.transpose()) * (1 - number(lag) / (lags + 1))
        return self._robust(meat, 1, self.df)

    @cached_property
    def centred(self) -> arb_mat:
        """Cross-products of the columns, about their means if there is an intercept."""
        c, g = int(self.intercept), self.gram
        away = [
            [g[i, j] - (g[0, i] * g[0, j] / g[0, 0] if c else 0) for j in range(c, self.k)] for i in range(c, self.k)
        ]
        return arb_mat(away)

    @cached_property
    def correlation(self) -> arb_mat:
        """`centred` scaled to unit diagonal."""
        m = self.centred
        root = [m[i, i].sqrt() for i in range(m.nrows())]
        return arb_mat([[m[i, j] / root[i] / root[j] for j in range(len(root))] for i in range(len(root))])

    @cached_property
    def vif(self) -> list[arb]:
        inverse = self.correlation.inv()
        return [inverse[i, i] for i in range(inverse.nrows())]

    @cached_property
    def principal(self) -> tuple[list[arb], list[list[arb]]]:
        """Condition indices, greatest first, and the shares of each coefficient's variance (Belsley, Kuh, Welsch)."""
        from mpmath import mp, mpf

        with mp.workdps(60):
            m = self.correlation
            p = m.nrows()
            wide = mp.matrix(p, p)
            for i in range(p):
                for j in range(p):
                    wide[i, j] = mpf(m[i, j].str(60, radius=False))
            values, vectors = mp.eigsy(wide)
            shares = [[vectors[j, k] ** 2 / values[k] for j in range(p)] for k in range(p)]
            totals = [sum(share[j] for share in shares) for j in range(p)]
            indices = [arb(str(mp.sqrt(values[p - 1] / v))) for v in values]
            return indices, [[arb(str(v / t)) for v, t in zip(share, totals, strict=True)] for share in shares]

    def _last_bits(self, column: int) -> float:
        """Return the norm of the rounding that the numbers of a slope's column may hold."""
        i = int(self.intercept) + column
        return 2.0**-53 * float(self.gram[i, i].sqrt())

    def independent(self) -> tuple[list[int], bool]:
        """Return the columns that do not depend on those before them, and whether none is close to the border.

        A column depends on others where its distance from them is within four times the rounding that its numbers and
        theirs may hold.
        """
        m, kept, sure = self.centred, [], True
        for j in range(m.nrows()):
            away, weights = m[j, j], []
            if kept:
                inner = arb_mat([[m[a, b] for b in kept] for a in kept])
                weights = flat(inner.solve(column([m[a, j] for a in kept])))
                away = away - sum((w * m[a, j] for w, a in zip(weights, kept, strict=True)), arb(0))
            parts = [self._last_bits(j), *(float(w) * self._last_bits(a) for w, a in zip(weights, kept, strict=True))]
            ratio = max(float(away), 0.0) ** 0.5 / max(4.0 * float(np.linalg.norm(parts)), 1e-300)
            sure &= not 0.8 < ratio < 1.25
            if ratio > 1.0:
                kept.append(j)
        return kept, sure

    @cached_property
    def margin(self) -> float:
        """How far the columns are from dependent, as a multiple of the rounding that their own numbers may hold.

        For each column, its distance from the others, over the norm of the last bits of the columns that explain it.
        """
        m = self.centred
        inverse, p = determined(m), m.nrows()
        if inverse is None:
            return 0.0
        last = [self._last_bits(j) for j in range(p)]
        least = np.inf
        for j in range(p):
            away = float((1 / inverse[j, j]).sqrt())
            parts = [float(abs(inverse[i, j] / inverse[j, j])) * last[i] for i in range(p)]
            least = min(least, away / float(np.linalg.norm(parts)) if any(parts) else np.inf)
        return least


class Likelihood:
    """Maximum likelihood of the binomial family with a logit, or of Poisson's with a logarithm.

    Newton's method in 240 digits from starting values, until steps are below 1e-60.
    """

    def __init__(self, x: Any, y: Any, family: str, start: Sequence[float], *, intercept: bool, weight: Any = None):
        self.line = Line(x, y, weight, intercept=intercept)
        self.family, self.coef = family, [number(v) for v in start]
        for _ in range(200):
            step = self._step()
            self.coef = [(b + s).mid() for b, s in zip(self.coef, step, strict=True)]
            if all(abs(s) <= arb(10) ** -60 * (abs(b) + arb(10) ** -30) for s, b in zip(step, self.coef, strict=True)):
                break
        else:
            raise ArithmeticError("no maximum was reached")
        self.cov = Covariance(self.coef, self._information().inv(), np.inf)

    @property
    def eta(self) -> list[arb]:
        return flat(self.line.x * column(self.coef))

    def mean(self, eta: arb) -> arb:
        return 1 / (1 + (-eta).exp()) if self.family == "binomial" else eta.exp()

    def _variance(self, mean: arb) -> arb:
        return mean * (1 - mean) if self.family == "binomial" else mean

    @property
    def means(self) -> list[arb]:
        return [self.mean(e) for e in self.eta]

    def _information(self) -> arb_mat:
        line = self.line
        return line.cross(line.rows, [w * self._variance(m) for w, m in zip(line.w, self.means, strict=True)])

    def _step(self) -> list[arb]:
        line = self.line
        away = [w * (y - m) for w, y, m in zip(line.w, line.y, self.means, strict=True)]
        return flat(self._information().solve(line.x.transpose() * column(away)))

    def _unit(self, y: arb, m: arb) -> arb:
        """Return half the deviance of one row."""

        def part(a: arb, b: arb) -> arb:
            return arb(0) if a == 0 else a * (a / b).log()

        if self.family == "binomial":
            return part(y, m) + part(1 - y, 1 - m)
        return part(y, m) - (y - m)

    def _deviance(self, means: Sequence[arb]) -> arb:
        line = self.line
        return 2 * sum((w * self._unit(y, m) for w, y, m in zip(line.w, line.y, means, strict=True)), arb(0))

    @property
    def deviance(self) -> arb:
        return self._deviance(self.means)

    @property
    def null_deviance(self) -> arb:
        line = self.line
        if line.intercept:
            mean = sum((w * y for w, y in zip(line.w, line.y, strict=True)), arb(0)) / line.weight
        else:
            mean = self.mean(arb(0))
        return self._deviance([mean] * line.n)

    @property
    def log_likelihood(self) -> arb:
        line, out = self.line, arb(0)
        for w, y, m in zip(line.w, line.y, self.means, strict=True):
            if self.family == "binomial":
                out += w * ((y * m.log() if y != 0 else 0) + ((1 - y) * (1 - m).log() if y != 1 else 0))
            else:
                out += w * (y * m.log() - m - (y + 1).lgamma())
        return out


class Penalised:
    """Slopes that minimise ``rss / 2 + sum l1_j |b_j| + sum l2_j b_j**2 / 2``, the intercept free.

    Of all patterns of signs the one whose minimum meets the conditions of optimality: 3**p of them, which suits few
    columns.
    """

    def __init__(self, line: Line, l1: Sequence[arb], l2: Sequence[arb], nonnegative: bool = False) -> None:
        self.line, self.l1, self.l2, self.nonnegative = line, l1, l2, nonnegative
        self.first = int(line.intercept)
        rhs = flat(line.x.transpose() * column([v * w for v, w in zip(line.y, line.w, strict=True)]))
        for signs in product((0, 1) if nonnegative else (0, 1, -1), repeat=len(l1)):
            if not any(float(v) for v in l1) and not nonnegative and not all(signs):
                continue
            coef = self._at(signs, rhs)
            if coef is not None and self._holds(coef, signs, rhs):
                self.coef, self.signs = coef, signs
                return
        raise ArithmeticError("no pattern of signs is a minimum")

    def _used(self, signs: Sequence[int]) -> list[int]:
        return [*range(self.first), *(self.first + j for j, s in enumerate(signs) if s)]

    def _at(self, signs: Sequence[int], rhs: list[arb]) -> list[arb] | None:
        used, coef = self._used(signs), [arb(0)] * self.line.k
        if used:
            push = [rhs[i] - (self.l1[i - self.first] * signs[i - self.first] if i >= self.first else 0) for i in used]
            try:
                found = flat(self._penalised(used).solve(column(push)))
            except ZeroDivisionError:
                return None
            for i, value in zip(used, found, strict=True):
                coef[i] = value
        return coef

    def _penalised(self, used: Sequence[int]) -> arb_mat:
        gram = self.line.gram
        extra = {i: self.l2[i - self.first] for i in used if i >= self.first}
        return arb_mat([[gram[i, j] + (extra.get(i, 0) if i == j else 0) for j in used] for i in used])

    def _holds(self, coef: list[arb], signs: Sequence[int], rhs: list[arb]) -> bool:
        pull = flat(self.line.gram * column(coef))
        for j, sign in enumerate(signs):
            i = self.first + j
            gradient = rhs[i] - pull[i] - self.l2[j] * coef[i]
            if sign:
                # Where there is no l1 penalty, signs do not matter.
                if (float(self.l1[j]) or self.nonnegative) and not coef[i] * sign > 0:
                    return False
            elif (gradient if self.nonnegative else abs(gradient)) > self.l1[j]:
                return False
        return True

    @property
    def fitted(self) -> list[arb]:
        return flat(self.line.x * column(self.coef))

    @property
    def rss(self) -> arb:
        line = self.line
        return sum((w * (y - v) ** 2 for w, y, v in zip(line.w, line.y, self.fitted, strict=True)), arb(0))

    @property
    def df(self) -> arb:
        """The trace of what turns the target into fitted values (Zou, Hastie and Tibshirani), less the intercept."""
        used = self._used(self.signs)
        if not used:
            return arb(0)
        inverse, gram = self._penalised(used).inv(), self.line.gram
        trace = sum((inverse[a, b] * gram[j, i] for a, i in enumerate(used) for b, j in enumerate(used)), arb(0))
        return trace - self.first
