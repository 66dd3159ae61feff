"""Fits by formula from frames and files: equal to statsmodels, the same bits for any source, stored and used again."""

import warnings

import numpy as np
import pandas as pd
import pytest

import streamreg as sr
from streamreg.errors import DataError, OnePassError

rng = np.random.default_rng(5)
ROWS = 6_000
FRAME = pd.DataFrame(
    {
        "x": rng.normal(size=ROWS) + 40,
        "z": rng.gamma(2.0, size=ROWS) + 1,
        "g": rng.choice(["a", "b", "c", "d"], ROWS),
        "k": rng.integers(0, 3, ROWS),
        "t": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500_000, ROWS), unit="min"),
    }
)
FRAME["y"] = np.exp(0.1 * FRAME.x - 0.5 * (FRAME.g == "b") * FRAME.z + rng.normal(size=ROWS))


@pytest.mark.parametrize(
    "text",
    [
        "y ~ x + z + g",
        "np.log(y) ~ g*z + C(k) + poly(x, 3)",
        "np.log(y) ~ C(g, Sum):C(k) + bs(z, df=5) + center(x) - 1",
        "y ~ I(x**2) + z + C(g, Treatment('c')) + x:z",
    ],
)
def test_a_fit_is_that_of_statsmodels(text):
    import statsmodels.formula.api as smf

    theirs = smf.ols(text.replace("poly(x, 3)", "x + I(x**2) + I(x**3)"), FRAME).fit()
    fit = sr.Linear(formula=text, intercept=True).fit(FRAME)
    assert fit.status == "ok"
    np.testing.assert_allclose(fit.predict(FRAME), theirs.fittedvalues, rtol=1e-9, atol=1e-10)
    if "poly" not in text and "bs" not in text:
        names = list(fit.names) + ["Intercept"] * ("- 1" not in text)
        assert sorted(names) == sorted(theirs.params.index)
        np.testing.assert_allclose(fit.coef, theirs.params[list(fit.names)], rtol=1e-9)
        np.testing.assert_allclose(fit.std_errors, theirs.bse[list(fit.names)], rtol=1e-9)


def test_fits_have_the_same_bits_whatever_holds_the_rows(tmp_path):
    pytest.importorskip("pyarrow")
    text = "log(y) ~ g*z + poly(x, 3) + C(month(t)) + bs(z, df=6) + center(z):C(k) + t"
    FRAME.to_parquet(tmp_path / "one.parquet")
    FRAME.to_parquet(tmp_path / "cut.parquet", row_group_size=700)
    model = sr.Linear(formula=text)
    whole = model.fit(FRAME)
    for data, threads in [(tmp_path / "one.parquet", 1), (tmp_path / "cut.parquet", 2), (FRAME, 3)]:
        fit = model.fit(data, threads=threads)
        assert fit.names == whole.names
        np.testing.assert_array_equal(fit.coef, whole.coef)
        assert fit.encoder == whole.encoder


def test_a_fit_predicts_new_rows_once_it_is_stored(tmp_path):
    fit = sr.Linear(formula="y ~ g + poly(x, 2) + hour(t) + C(k):z").fit(FRAME)
    fit.save(tmp_path / "fit.npz")
    again = type(fit).load(tmp_path / "fit.npz")
    new = FRAME.iloc[100:160].drop(columns="y")
    np.testing.assert_array_equal(again.predict(new), fit.predict(FRAME)[100:160])
    strange = new.assign(g="zz")
    with pytest.raises(DataError, match="'zz' is a level that the fit has not seen"):
        again.predict(strange)
    np.testing.assert_array_equal(again.predict(strange, unseen="reference"), again.predict(new.assign(g="a")))
    np.testing.assert_array_equal(again.predict(strange, unseen="own"), again.predict(new.assign(g="a")))
    assert np.isnan(again.predict(strange, unseen="missing")).all()


def test_missing_rows_are_left_out_as_formulaic_does_it():
    import statsmodels.formula.api as smf

    holes = FRAME.copy()
    holes.loc[::7, "x"] = np.nan
    holes.loc[5::11, "g"] = None
    holes.loc[2, ["g", "x"]] = ["only here", np.nan]
    fit = sr.Linear(formula="y ~ np.log(x) + g*z", missing="drop").fit(holes)
    theirs = smf.ols("y ~ np.log(x) + g*z", holes.dropna()).fit()
    assert fit.n == theirs.nobs
    assert fit.n_missing == ROWS - theirs.nobs
    np.testing.assert_allclose(fit.coef, theirs.params[list(fit.names)], rtol=1e-9)
    with pytest.raises(DataError, match="row 0"):
        sr.Linear(formula="y ~ x").fit(holes)


def test_rows_that_come_once_cannot_be_learned_of():
    batches = ((FRAME[["x"]].to_numpy()[k::3], FRAME.z.to_numpy()[k::3]) for k in range(3))
    source = sr.open(batches, columns=["x"])
    with pytest.raises(OnePassError, match="x must be learned of the rows first"):
        sr.Linear(formula="poly(x0, 2)".replace("x0", source.schema.names[0])).fit(source)


def test_a_poisson_fit_and_a_path_take_terms_too():
    counts = FRAME.assign(n=rng.poisson(2 + (FRAME.g == "c")))
    fit = sr.Glm(family="poisson", formula="n ~ g + bs(z, df=4)").fit(counts)
    assert fit.names[:3] == ("g[T.b]", "g[T.c]", "g[T.d]")
    import statsmodels.formula.api as smf

    theirs = smf.poisson("n ~ g + bs(z, df=4)", counts).fit(disp=False)
    np.testing.assert_allclose(fit.predict(counts), theirs.predict(counts), rtol=1e-6)


@pytest.mark.parametrize("text", ["y ~ 1", "1", "y ~ x - x", "y ~ 0"])
def test_a_formula_may_have_no_terms(text):
    source = sr.open(FRAME).with_roles(target="y")
    fit = sr.Linear(formula=text).fit(source)
    assert fit.names == ()
    np.testing.assert_allclose(fit.intercept, 0.0 if "0" in text else FRAME.y.mean(), rtol=1e-12)


def test_dates_are_days_and_hours_are_those_of_a_zone():
    frame = FRAME.assign(t=FRAME.t.dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata"))
    fit = sr.Linear(formula="y ~ t + hour(t)").fit(frame)
    x = pd.DataFrame({"t": FRAME.t.astype("int64") / FRAME.t.astype("int64").max(), "hour": frame.t.dt.hour})
    scale = (FRAME.t.max() - pd.Timestamp(0)) / pd.Timedelta("1D")
    theirs = sr.Linear().fit((x.to_numpy(), FRAME.y.to_numpy()))
    np.testing.assert_allclose(fit.coef * [scale, 1], theirs.coef, rtol=1e-7)


def test_a_category_of_very_large_integers_is_refused():
    frame = FRAME.assign(u=np.full(ROWS, 2**63 + 5, np.uint64))
    with pytest.raises(DataError, match="9223372036854775813 is no level"):
        sr.Linear(formula="y ~ C(u)").fit(frame)


@pytest.mark.parametrize(
    "text", ["y ~ i(k, treated, ref=1) + x | firm", "y ~ i(k, ref=2) + x:z | firm + g", "y ~ x + C(k):z | firm^g"]
)
def test_absorbed_formulas_are_those_of_pyfixest(text):
    import pyfixest

    random = np.random.default_rng(0)
    frame = FRAME.drop(columns="t").assign(
        firm=random.integers(0, 40, ROWS), treated=random.integers(0, 2, ROWS), y=np.log(FRAME.y)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pyfixest.feols(text, frame, vcov="iid")
    fit = sr.Linear(formula=text).fit(frame)
    ours = dict(zip(fit.names, fit.coef, strict=True))
    wanted = theirs.coef()
    assert set(ours) == set(wanted.index)
    np.testing.assert_allclose([ours[name] for name in wanted.index], wanted, rtol=1e-8, atol=1e-10)
    errors = dict(zip(fit.names, fit.std_errors, strict=True))
    np.testing.assert_allclose([errors[name] for name in wanted.index], theirs.se(), rtol=1e-8)


def test_a_dot_leaves_out_columns_with_another_role() -> None:
    random = np.random.default_rng(3)
    table = {name: random.normal(size=200) for name in ("a", "b")} | {"firm": random.integers(0, 9, 200)}
    table |= {"time": random.uniform(1, 2, 200), "y": random.poisson(2.0, 200)}
    assert sr.Linear(formula="y ~ .", errors={"cluster": ("firm",)}).fit(table).names == ("a", "b", "time")
    assert sr.Glm(formula="y ~ .", family="poisson", exposure="time").fit(table).names == ("a", "b", "firm")
