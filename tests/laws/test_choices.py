"""Numbers of ridge, restricted and penalised lines, of subsets, groups and replicates: right to the digits promised."""

from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np
import pytest
from designs import DESIGNS, NAMES, Table
from numbers_shown import FIT, LAST, TESTS, Case, Shown, coef, faults, floats, hold, intercept, predictions
from truth import Line, Penalised, column, f_tail, flat, number, t_quantile

import streamreg as sr

HARD = [d for d in DESIGNS if d.condition < 1e10 and d.offset < 1e9][::2]


def posed(design: Any) -> tuple[Table, Line]:
    """Return rows and their reference; skip those whose columns are dependent in float64."""
    table = design.table()
    line = Line(table.x, table.y, table.weight, intercept=table.intercept, frequency=table.frequency)
    if line.margin < 16:
        pytest.skip("dependent within the rounding of the data")
    return table, line


def _line(table: Table, **options: Any) -> Line:
    given = {"intercept": table.intercept, "frequency": table.frequency}
    return Line(table.x, table.y, table.weight, **given, **options)


@pytest.mark.parametrize("design", HARD, ids=str)
def test_ridge(design):
    table, _ = posed(design)
    found = []
    for strength in (1e-12, 1e-9, 1e-4, 1.0, 1e3):
        ridge = strength * len(table.y)
        line = _line(table, ridge=ridge)
        fit = sr.Linear(**table.options, ridge=ridge).fit(table.source())
        case = Case(fit, line, line.classical, fit.digits_se, table.x)
        faulty = faults(case, (coef, intercept, predictions), True)
        shown = Shown([fit.rss, fit.tss], [line.rss, line.tss], floats([line.rss, line.tss]) * [case.rss_share, 1e-13])
        faulty += [f"sums: {text}" for text in shown.faults(False)]
        if np.isfinite(fit.aic):
            true = 2 * (line.effective + int(line.intercept)) - 2 * line.log_likelihood
            faulty += [f"aic: {text}" for text in Shown(fit.aic, [true], 1e-6 * line.n).faults(False)]
        withheld = ("std_errors", "tvalues", "pvalues", "fvalue", "f_pvalue")
        faulty += [f"{name} of a biased estimate" for name in withheld if not np.isnan(getattr(fit, name)).all()]
        found += [f"ridge {strength:g}: {text}" for text in faulty]
    hold(found)


@pytest.mark.parametrize("design", HARD, ids=str)
def test_constrained(design):
    table, _ = posed(design)
    first = int(table.intercept)
    rows = np.zeros((2, 4 + first))
    rows[0, first : first + 2] = 1.0, -2.0
    rows[1, first + 3] = 1.0
    line = _line(table, restrictions=(rows.tolist(), [0.0, 0.5]))
    fit = sr.Constrained(restrictions="a = 2 b, d = 0.5", **table.options).fit(table.source())
    case = Case(fit, line, line.classical, fit.digits_se, table.x)
    numbers = [n for n in TESTS if n.__name__ not in ("f_test", "tvalues", "pvalues")]
    hold(faults(case, (coef, intercept, predictions, *numbers, *FIT), False))


PATHS: dict[str, dict[str, Any]] = {
    "lasso": {"l1_ratio": 1.0},
    "elastic net": {"l1_ratio": 0.5},
    "ridge": {"l1_ratio": 0.0},
    "standardised lasso": {"l1_ratio": 1.0, "standardise": True},
    "standardised elastic net": {"l1_ratio": 0.3, "standardise": True},
    "nonnegative": {"l1_ratio": 1.0, "nonnegative": True},
}


def _penalties(line: Line, alpha: float, options: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    ratio, p = number(options["l1_ratio"]), line.k - int(line.intercept)
    spread = [number(1)] * p
    if options.get("standardise"):
        spread = [(line.centred[j, j] / line.weight).sqrt() for j in range(p)]
    whole = number(alpha) * line.weight
    return [whole * ratio * s for s in spread], [whole * (1 - ratio) * s * s for s in spread]


def _candidates(found: Any, lines: list[Any], line: Line, easy: bool, table: Table) -> list[str]:
    """Return what is wrong with candidates; `lines` are their references."""
    first, faulty, x = int(line.intercept), [], table.x
    # What the residual variance of all columns is known to.
    full = 2 * 10.0 ** -sr.Linear(**table.options, precision="float64").fit(table.source()).digits_se + 4 * LAST
    for k, true in enumerate(lines):
        one = found.candidate(k)
        promised = [one.digits_intercept, *one.digits] if first else one.digits
        size = np.abs(floats(true.coef))
        if np.isnan(np.asarray(promised)[size > 0]).any():
            faulty.append(f"{found.label(k)}: no digits are promised")
            continue
        # Nothing is promised of what has no digits.
        trusted = np.where(np.nan_to_num(promised) > 0, 10.0 ** -np.nan_to_num(promised), np.inf)
        with np.errstate(invalid="ignore"):
            off = np.where(size > 0, size * (trusted + LAST), np.where(trusted < 1, 0.0, np.inf))
        aim = 1e-9 * size
        shown = {
            "coef": Shown([found.intercept[k], *found.coef[k]][not first :], true.coef, off, aim),
            "candidate": Shown([one.intercept, *one.coef][not first :], true.coef, off, aim),
        }
        share = (2 * 10.0 ** -found.digits_rss[k] if found.digits_rss[k] > 0 else np.inf) + 4 * LAST
        df_off = 1e-9 + 2 * 10.0 ** -float(np.asarray(promised)[size > 0].min(initial=15.3))
        n, rss = line.nobs, float(true.rss)
        ll = -number(n) / 2 * ((2 * number(np.pi) * true.rss / number(n)).log() + 1)
        logs = number(0) if line.frequency else sum((w.log() for w in line.w), number(0))
        ll = ll + logs / 2
        count = true.df + first
        more = n * share + 1e-13 * (n + abs(float(ll)))
        sizes = {
            "rss": (found.rss[k], one.rss, true.rss, rss * share),
            "rsquared": (
                found.rsquared[k],
                one.rsquared,
                1 - true.rss / line.tss,
                share * rss / float(line.tss) + LAST,
            ),
            "log_likelihood": (found.log_likelihood[k], one.log_likelihood, ll, more),
            "aic": (found.aic[k], one.aic, 2 * count - 2 * ll, 2 * more + 2 * df_off),
            "bic": (found.bic[k], one.bic, count * number(n).log() - 2 * ll, 2 * more + 5 * df_off),
        }
        for name, (own, own_candidate, want, allowed) in sizes.items():
            shown[name] = Shown([own, own_candidate], [want, want], allowed)
        shown["df"] = Shown(found.df[k], [true.df], df_off * max(1.0, float(true.df)))
        cp = true.rss / (line.rss / number(line.df)) - number(n) + 2 * count
        shown["cp"] = Shown(found.cp[k], [cp], abs(float(cp + number(n))) * (2 * share + full) + 2 * df_off + 1e-12 * n)
        slopes = np.abs(x - found.centre) @ (np.nan_to_num(off[first:], posinf=1e300) + LAST * size[first:])
        level = LAST * 4 * (np.abs(floats(line.y)).max() + np.abs(x - found.centre) @ size[first:])
        for how, got in (("predict", found.predict(x)[:, k]), ("candidate predicts", one.predict(x))):
            shown[how] = Shown(got, flat(line.x * column(true.coef)), slopes + level)
        for name, numbers in shown.items():
            faulty += [f"{found.label(k)}, {name}: {text}" for text in numbers.faults(easy)]
    full_variance = line.rss / number(line.df)
    shown = Shown(
        [found.sigma2, found.tss], [full_variance, line.tss], floats([full_variance, line.tss]) * [full, 1e-13]
    )
    return [*faulty, *(f"sigma2 and tss: {text}" for text in shown.faults(False))]


def _easy(design: Any) -> bool:
    return design.condition <= 1e2 and design.offset == 0


@pytest.mark.parametrize("design", HARD, ids=str)
@pytest.mark.parametrize("kind", PATHS)
def test_path(design, kind):
    table, line = posed(design)
    # At lambda_max itself slopes are zero up to its own rounding: the grid starts below.
    top = sr.Penalised(**table.options, **PATHS[kind], alphas=1).fit(table.source()).alphas[0]
    alphas = tuple(float(top) * np.array([0.5, 0.03, 1e-3, 1e-6]))
    found = sr.Penalised(**table.options, **PATHS[kind], alphas=alphas).fit(table.source())
    lines = [Penalised(line, *_penalties(line, alpha, PATHS[kind]), "nonnegative" in kind) for alpha in found.alphas]
    hold(_candidates(found, lines, line, _easy(design), table))


@pytest.mark.parametrize("design", [d for d in HARD if d.condition <= 1e4], ids=str)
@pytest.mark.parametrize("kind", ["lasso", "ridge"])
def test_cross_validation(design, kind):
    table, line = posed(design)
    folds = sr.scan(table.source(), NAMES, by="few")
    top = sr.Penalised(**table.options, **PATHS[kind], alphas=1).fit(folds).alphas[0]
    found = sr.Penalised(**table.options, **PATHS[kind], alphas=(float(top) * 0.3, float(top) * 1e-3)).cross_validate(
        folds
    )
    errors, weights = [], []
    for key in range(3):
        out = table.keys[:, 0] == key
        train, held = _rows(table, ~out), _rows(table, out)
        weights.append(held.weight)
        for alpha in found.alphas:
            # The penalty is per unit of weight of the rows that are fitted.
            coef = Penalised(train, *_penalties(train, alpha, PATHS[kind])).coef
            away = [y - v for y, v in zip(held.y, flat(held.x * column(coef)), strict=True)]
            errors.append(sum((w * e * e for w, e in zip(held.w, away, strict=True)), number(0)) / held.weight)
    share = [w / sum(weights, number(0)) for w in weights]
    each = [[errors[2 * key + k] for key in range(3)] for k in range(2)]
    mean = [sum((s * e for s, e in zip(share, row, strict=True)), number(0)) for row in each]
    spread = [
        (sum((s * (e - m) ** 2 for s, e in zip(share, row, strict=True)), number(0)) / 2).sqrt()
        for row, m in zip(each, mean, strict=True)
    ]
    # The rounding of float64 cross-products, relative to the target's sum of squares.
    off = 1e-9 * design.condition * floats([line.tss / line.weight] * 2) / 1e2
    shown = {
        "fold_errors": Shown(found.fold_errors, [v for row in each for v in row], np.repeat(off, 3)),
        "fold_weights": Shown(found.fold_weights, weights, 1e-12 * floats(weights)),
        "cv": Shown(found.cv, mean, off),
        "cv_std_error": Shown(found.cv_std_error, spread, off),
    }
    hold([f"{name}: {text}" for name, numbers in shown.items() for text in numbers.faults(False)])


def _rows(table: Table, rows: Any) -> Line:
    weight = None if table.weight is None else table.weight[rows]
    return Line(table.x[rows], table.y[rows], weight, intercept=table.intercept, frequency=table.frequency)


class _Subset:
    """A least-squares line on some of the columns, as a candidate."""

    def __init__(self, table: Table, used: tuple[int, ...]) -> None:
        line = Line(table.x[:, used], table.y, table.weight, intercept=table.intercept, frequency=table.frequency)
        first = int(table.intercept)
        if line.k:
            self.rss, solved = line.rss, line.coef
        else:
            self.rss, solved = line.tss, []
        slopes = [number(0)] * table.x.shape[1]
        for j, value in zip(used, solved[first:], strict=True):
            slopes[j] = value
        self.coef = [*solved[:first], *slopes]
        self.df, self.used = number(len(used)), used


@pytest.mark.parametrize("design", HARD, ids=str)
def test_best_subsets(design):
    table, line = posed(design)
    found = sr.Subsets(**table.options).fit(table.source())
    lines = []
    for size in range(5):
        every = [_Subset(table, used) for used in combinations(range(4), size)]
        lines.append(min(every, key=lambda s: float(s.rss)))
    chosen = [tuple(int(j) for j in np.flatnonzero(i)) for i in found.included]
    if found.status == "dependent":  # as far as float64 tells
        lines = lines[: len(chosen)]
    if chosen != [s.used for s in lines] and "leaves open" not in found.status:
        hold([f"chosen {chosen}, where {[s.used for s in lines]} are the best"])
    lines = [_Subset(table, used) for used in chosen]
    hold(_candidates(found, lines, line, _easy(design), table))


@pytest.mark.parametrize("design", HARD[:4], ids=str)
def test_bootstrap(design):
    """Each replicate is the line through some three of the three groups, drawn with replacement."""
    table, _ = posed(design)
    found = sr.bootstrap(sr.Linear(**table.options), sr.scan(table.source(), NAMES, by="few"), replicates=20)
    near = []
    for times in combinations_with_replacement(range(3), 3):
        rows = np.concatenate([np.flatnonzero(table.keys[:, 0] == key) for key in times])
        near.append(floats(_rows(table, rows).coef))
    least = [min(np.max(np.abs(one - other) / np.abs(other)) for other in near) for one in found.replicates]
    assert max(least) < 1e-9
    np.testing.assert_allclose(found.cov(), np.cov(found.replicates.T), rtol=1e-9)
    np.testing.assert_allclose(found.std_errors, found.replicates.std(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(found.bias, found.replicates.mean(axis=0) - found.estimates, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.conf_int(), np.quantile(found.replicates, [0.025, 0.975], axis=0).T, rtol=1e-12)


@pytest.mark.parametrize("design", HARD, ids=str)
def test_groups(design):
    table, _ = posed(design)
    found = sr.fit_by(sr.Linear(**table.options), table.source(), by="few")
    faulty, sums, shares, params = [], [], [], 0
    for key, fit in found.fits.items():
        rows = table.keys[:, 0] == key
        line = _rows(table, rows)
        if fit.rank < 4:
            continue
        case = Case(fit, line, line.classical, fit.digits_se, table.x[rows])
        faulty += [f"{key}: {text}" for text in faults(case, (coef, intercept, predictions, *TESTS, *FIT), False)]
        sums.append(line.rss)
        shares.append(case.rss_share)
        params += line.params
    if len(sums) == len(found):
        pooled = Line(table.x, table.y, table.weight, intercept=table.intercept, frequency=table.frequency)
        rss = sum(sums, number(0))
        num, denom = params - pooled.params, pooled.nobs - params
        f = (pooled.rss - rss) / num / (rss / number(denom))
        share = (max(shares) + 2 * 10.0**-found.pooled.digits_se) * float(pooled.rss / (pooled.rss - rss)) + 1e-13
        chow = found.chow()
        p = f_tail(f, num, denom)
        lower = f_tail(f * number(max(1 - share, 0.0)), num, denom)
        allowed = [float(f) * share, float(lower - p) + 1e-11 * float(p), *(floats([pooled.rss, rss]) * 2 * share)]
        shown = Shown([chow.fvalue, chow.pvalue, chow.rss_pooled, chow.rss_groups], [f, p, pooled.rss, rss], allowed)
        faulty += [f"chow: {text}" for text in shown.faults(False)]
        sigma = (rss / number(denom)).sqrt()
        faulty += [f"sigma: {t}" for t in Shown(found.sigma, [sigma], float(sigma) * share).faults(False)]
        r2 = 1 - rss / pooled.tss
        faulty += [f"rsquared: {t}" for t in Shown(found.rsquared, [r2], share + LAST).faults(False)]
    hold(faulty)


@pytest.mark.parametrize("design", HARD, ids=str)
def test_jackknife(design):
    table, whole = posed(design)
    found = sr.jackknife(sr.Linear(**table.options), sr.scan(table.source(), NAMES, by="many"))
    if found.degenerate and (np.nan_to_num(found.digits) <= 0).all():
        assert "digits of some" in found.summary()  # which rows determine what is more than float64 moments tell
        return
    if found.degenerate:
        hold([f"{found.degenerate} replicates left out, whose rows determine all coefficients"])
    count = 14
    lines = []
    for key in range(count):
        lines.append(_rows(table, table.keys[:, 1] != key).coef)
    mean = [sum(column, number(0)) / count for column in zip(*lines, strict=True)]
    variance = [
        sum(((v - m) ** 2 for v in column), number(0)) * (count - 1) / count
        for column, m in zip(zip(*lines, strict=True), mean, strict=True)
    ]
    errors = [v.sqrt() for v in variance]
    bias = [(m - b) * (count - 1) for m, b in zip(mean, whole.coef, strict=True)]
    q = t_quantile(1 - 0.95, count - 1)
    ends = [b + s * q * e for b, e in zip(whole.coef, errors, strict=True) for s in (-1, 1)]
    promised = np.asarray(found.digits) if hasattr(found, "digits") else np.full(len(errors), 10.0)
    size, spread = np.abs(floats(whole.coef)), floats(errors)
    off = np.maximum(size, spread) * 10.0**-promised
    faulty = {
        "estimates": Shown(found.estimates, whole.coef, off),
        "std_errors": Shown(found.std_errors, errors, off * count),
        "bias": Shown(found.bias, bias, off * count),
        "conf_int": Shown(found.conf_int(), ends, np.repeat(off * count * 3, 2)),
        "replicates": Shown(found.replicates, [v for line in lines for v in line], np.tile(off * 2, count)),
    }
    hold([f"{name}: {text}" for name, shown in faulty.items() for text in shown.faults(False)])


@pytest.mark.parametrize("design", HARD, ids=str)
def test_scores(design):
    """Of a line on its own rows: R2 and the root mean squared error."""
    table, line = posed(design)
    fit = sr.Linear(**table.options).fit(table.source())
    score = sr.score({"line": fit}, table.source())["line"]
    count = line.weight
    mean = sum((w * v for w, v in zip(line.w, line.y, strict=True)), number(0)) / count
    tss = sum((w * (v - mean) ** 2 for w, v in zip(line.w, line.y, strict=True)), number(0))
    rmse = (line.rss / count).sqrt()
    # Predictions are float64 numbers, of coefficients that are.
    terms = np.abs(table.x - fit.centre) @ np.abs(fit.coef)
    rounded = LAST * float(np.abs(table.y).max() + terms.max()) / float(rmse)
    share = 2 * 10.0**-fit.digits_se + 2 * rounded + 1e-13
    numbers = {
        "explained": Shown(score.explained, [1 - line.rss / tss], float(line.rss / tss) * share + LAST),
        "rmse": Shown(score.rmse, [rmse], float(rmse) * share),
    }
    hold([f"{name}: {text}" for name, shown in numbers.items() for text in shown.faults(False)])
