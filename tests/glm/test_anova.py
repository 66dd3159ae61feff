"""Analysis of variance and deviance: statsmodels' tables, sums of nested fits, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose
from scipy import stats

import streamreg as sr
from streamreg.cli import main
from streamreg.errors import UsageError

RNG = np.random.default_rng(7)
N = 400
FRAME = pd.DataFrame(
    {
        "x": RNG.normal(size=N),
        "z": RNG.uniform(1.0, 2.0, N),
        "g": np.array(["a", "b", "c"])[RNG.integers(0, 3, N)],
        "w": RNG.uniform(0.5, 2.0, N),
    }
)
FRAME["y"] = FRAME["x"] + 0.4 * (FRAME["g"] == "b") * FRAME["x"] + RNG.normal(size=N)
FRAME["label"] = (RNG.random(N) < 1.0 / (1.0 + np.exp(-FRAME["y"]))).astype(float)
FRAME["count"] = RNG.poisson(np.exp(0.3 * FRAME["x"])).astype(float)
FRAME["size"] = RNG.gamma(2.0, np.exp(0.3 * FRAME["x"]))

TERMS = ["x", "C(g)", "z", "x:C(g)"]


@pytest.mark.parametrize("weights", [None, "w"])
def test_terms_in_turn_are_differences_of_nested_fits(weights: str | None) -> None:
    fit = sr.Linear(formula="y ~ x*C(g) + z").fit(sr.open(FRAME, weights=weights))
    found = fit.anova()
    assert found.labels == tuple(TERMS)
    w = 1.0 if weights is None else FRAME[weights]
    rss, df = [], []
    for k in range(len(TERMS) + 1):
        fitted = smf.wls(f"y ~ {' + '.join(TERMS[:k]) or '1'}", FRAME, weights=w).fit()
        rss.append(fitted.ssr)
        df.append(fitted.df_resid)
    assert_allclose(found.sums, -np.diff(rss), rtol=1e-9)
    assert_allclose(found.df, -np.diff(df))
    assert_allclose(found.residual, rss[1:], rtol=1e-9)
    assert_allclose(found.df_resid, df[1:])
    f = -np.diff(rss) / -np.diff(df) / (rss[-1] / df[-1])
    assert_allclose(found.statistics, f, rtol=1e-9)
    assert_allclose(found.pvalues, stats.f.sf(f, -np.diff(df), df[-1]), rtol=1e-7)
    assert (found.digits > 7).all()


def test_they_are_those_of_anova_lm() -> None:
    model = smf.ols("y ~ C(g) + x + z", FRAME).fit()
    table = sm.stats.anova_lm(model, typ=1)
    fit = sr.Linear(formula="y ~ C(g) + x + z").fit(FRAME)
    assert_allclose(fit.anova().sums, table["sum_sq"][:-1], rtol=1e-9)
    assert_allclose(fit.anova().pvalues, table["PR(>F)"][:-1], rtol=1e-7)
    partial = fit.anova("partial")
    table = sm.stats.anova_lm(model, typ=3)[1:-1]
    assert_allclose(partial.sums, table["sum_sq"], rtol=1e-8)
    assert_allclose(partial.statistics, table["F"], rtol=1e-8)
    assert_allclose(partial.pvalues, table["PR(>F)"], rtol=1e-7)


@pytest.mark.parametrize("kind", ["HC1", {"cluster": "k"}])
def test_partial_tests_hold_with_robust_errors(kind: Any) -> None:
    rows = FRAME.assign(k=np.arange(N) % 40)
    fit = sr.Linear(formula="y ~ x*C(g)", errors=kind).fit(rows)
    found = fit.anova("partial")
    names = [", ".join(f"`{n}` = 0" for n in fit.names if n.startswith("x:"))]
    assert found.statistics[-1] == sr.wald_test(fit, names[0]).fvalue
    assert np.isnan(found.sums).all()
    with pytest.raises(UsageError, match="robust errors; ask for sums='partial'"):
        fit.anova()


FAMILIES = {
    "binomial": ("label", sm.families.Binomial(), "chi2"),
    "poisson": ("count", sm.families.Poisson(), "chi2"),
    "gamma": ("size", sm.families.Gamma(sm.families.links.Log()), "F"),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_nested_generalised_models_by_deviance(name: str) -> None:
    target, family, test = FAMILIES[name]
    formulas = [f"{target} ~ x", f"{target} ~ x + z", f"{target} ~ x + z + C(g)"]
    fits = [sr.Glm(family=name, formula=formula).fit(FRAME) for formula in formulas]
    found = sr.anova(fits[1], fits[2], fits[0])
    models = [smf.glm(formula, FRAME, family=family).fit(tol=1e-14) for formula in formulas]
    change = -np.diff([model.deviance for model in models])
    df = np.array([1.0, 2.0])
    scale = models[-1].scale
    assert found.test == test
    assert_allclose(found.sums[1:], change, rtol=1e-8)
    assert_allclose(found.df[1:], df)
    statistic = change / scale / (df if test == "F" else 1.0)
    assert_allclose(found.statistics[1:], statistic, rtol=1e-8)
    p = stats.f.sf(statistic, df, models[-1].df_resid) if test == "F" else stats.chi2.sf(statistic, df)
    assert_allclose(found.pvalues[1:], p, rtol=1e-6)
    assert np.isnan(found.statistics[0])
    partial = fits[2].anova("partial")
    wald = models[2].wald_test_terms(skip_single=False, scalar=True).table.loc[["x", "z", "C(g)"]]
    assert_allclose(partial.pvalues, wald["pvalue"] if test == "chi2" else partial.pvalues, rtol=1e-6)


def test_nested_lines_are_those_of_anova_lm() -> None:
    formulas = ["y ~ 1", "y ~ x", "y ~ x + C(g)", "y ~ x*C(g)"]
    fits = [sr.Linear(formula=formula).fit(FRAME) for formula in formulas[1:]]
    found = sr.anova(*fits)
    table = sm.stats.anova_lm(*(smf.ols(formula, FRAME).fit() for formula in formulas[1:]))
    assert_allclose(found.sums[1:], table["ss_diff"][1:], rtol=1e-8)
    assert_allclose(found.statistics[1:], table["F"][1:], rtol=1e-8)
    # As in R, tests have the residual degrees of freedom of the largest model; statsmodels takes each model's own.
    p = stats.f.sf(table["F"][1:], table["df_diff"][1:], table["df_resid"].iloc[-1])
    assert_allclose(found.pvalues[1:], p, rtol=1e-6)
    assert_allclose(found.residual, table["ssr"], rtol=1e-10)


def test_columns_without_a_formula_are_terms() -> None:
    fit = sr.Linear(features=("x", "z"), target="y", powers={"x": 2}).fit(FRAME)
    assert fit.anova().labels == fit.names
    assert_allclose(fit.anova().sums.sum(), fit.tss - fit.rss, rtol=1e-9)


def test_dependent_columns_add_nothing() -> None:
    rows = FRAME.assign(x2=2.0 * FRAME["x"])
    fit = sr.Linear(features=("x", "x2", "z"), target="y").fit(rows)
    found = fit.anova()
    assert found.df.tolist() == [1.0, 0.0, 1.0]
    assert np.isnan(found.pvalues[1])


FIT = sr.Linear(formula="y ~ x").fit(FRAME)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([], "two fits or more"),
        (["y ~ z + C(g)"], "lacks x of the smaller one"),
        (["y ~ z"], "as many parameters"),
        ([sr.Linear(formula="w ~ x + z")], "same target"),
        ([sr.Linear(formula="y ~ x + z", ridge=1.0)], "without a penalty"),
        ([sr.Linear(formula="y ~ x + z", errors="HC1")], "classical errors"),
        ([sr.Glm(family="gamma", formula="size ~ x + z")], "same target"),
    ],
)
def test_what_is_not_nested_is_refused(others: list[Any], words: str) -> None:
    models = [sr.Linear(formula=one) if isinstance(one, str) else one for one in others]
    with pytest.raises(UsageError, match=words):
        sr.anova(FIT, *(model.fit(FRAME) for model in models))


def test_other_rows_and_no_terms_are_refused() -> None:
    more = sr.Linear(formula="y ~ x + z")
    with pytest.raises(UsageError, match="same rows"):
        sr.anova(FIT, more.fit(FRAME[:-1]))
    with pytest.raises(UsageError, match="same rows: total sums"):
        sr.anova(FIT, more.fit(FRAME.assign(y=FRAME["y"] * np.where(FRAME.index == 5, 2.0, 1.0))))
    other = sr.Linear(formula="y ~ x + I(x**2)").fit(FRAME)
    bent = sr.Linear(formula="y ~ poly(x, 3)").fit(FRAME)
    with pytest.raises(UsageError, match="nested=True"):
        sr.anova(other, bent)
    expected = sr.anova(other, sr.Linear(formula="y ~ x + I(x**2) + I(x**3)").fit(FRAME))
    assert_allclose(sr.anova(other, bent, nested=True).sums, expected.sums, rtol=1e-8)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = sr.Linear(formula="y ~ x*C(g)").fit(FRAME)
    for name, fit in (("less", FIT), ("more", more)):
        fit.save(tmp_path / f"{name}.npz")
    less, large = (str(tmp_path / f"{name}.npz") for name in ("less", "more"))
    for arguments, expected in (
        ([less, large], sr.anova(FIT, more)),
        ([large], more.anova()),
        ([large, "--sums", "partial"], more.anova("partial")),
    ):
        assert main(["anova", *arguments]) == 0
        shown = capsys.readouterr().out
        assert shown.split()[4:] == expected.summary().split()[4:]
    assert main(["anova", large, "--sums", "all"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
