"""Absorbed factors where something is out of the ordinary: each is right, or refused, or said."""

import numpy as np
import pandas as pd
import pytest
from panels import FEATURES, exact_slopes, panel, source, with_dummies

import streamreg as sr
from streamreg.errors import ChangedError, DataError, NotFound, UsageError


def small(n: int = 400, seed: int = 1) -> pd.DataFrame:
    return panel(n, seed, (20, 8, 5))


def same_as_dummies(
    frame: pd.DataFrame, factors: tuple[str, ...], features: tuple[str, ...] = FEATURES
) -> sr.FitResult:
    """Fit, and make sure that indicator columns written out say the same."""
    ours = sr.Linear(features=features, absorb=factors, singular="drop").fit(source(frame))
    theirs = with_dummies(frame, factors, features)
    p = len(features)
    np.testing.assert_allclose(ours.coef, theirs.coef[:p], rtol=1e-9)
    np.testing.assert_allclose(ours.std_errors, theirs.std_errors[:p], rtol=1e-9)
    np.testing.assert_allclose(ours.rss, theirs.rss, rtol=1e-10)
    assert ours.df_resid == theirs.df_resid
    return ours


def test_levels_that_no_row_connects():
    frame = small()
    frame["f1"] = frame["f1"] + 1000 * (frame["f0"] > 20)  # two sets of levels of f0, each with its own levels of f1
    fit = same_as_dummies(frame, ("f0", "f1"))
    assert fit.absorbed.components == 2
    assert "2 connected sets" in fit.summary()
    same_as_dummies(frame, ("f0", "f1", "f2"))


def test_a_factor_within_another_adds_nothing():
    frame = small()
    frame["outer"] = frame["f0"] // 28
    one, both = same_as_dummies(frame, ("f0",)), same_as_dummies(frame, ("f0", "outer"))
    assert one.df_resid == both.df_resid
    np.testing.assert_allclose(one.coef, both.coef, rtol=1e-14)
    same_as_dummies(frame, ("f1", "f0", "outer"))
    frame["both"] = frame["f0"] * 1000 + frame["f1"]
    same_as_dummies(frame, ("both", "f0", "f1", "f2"))


def test_three_factors_that_hide_a_dependency():
    frame = small()
    frame["age"] = frame["f1"] // 7 - frame["f2"] // 7  # of any two factors the third is not a function
    fit = same_as_dummies(frame, ("f1", "f2", "age"))
    sizes = [frame[f].nunique() for f in ("f1", "f2", "age")]
    assert fit.absorbed.df == sum(sizes) - 3  # two constants, and the line that adds up to nothing
    assert fit.absorbed.exact


def test_a_factor_with_one_level_is_the_constant():
    frame = small().assign(one=7)
    fit = sr.Linear(features=FEATURES, absorb="one").fit(source(frame))
    plain = sr.Linear(features=FEATURES).fit(source(frame))
    np.testing.assert_allclose(fit.coef, plain.coef, rtol=1e-14)
    np.testing.assert_allclose(fit.intercept, plain.intercept, rtol=1e-13)
    np.testing.assert_allclose(fit.intercept_std_error, plain.intercept_std_error, rtol=1e-13)
    assert fit.df_resid == plain.df_resid
    assert dict(fit.effects("one")) == pytest.approx({7: 0.0}, abs=1e-14)
    same_as_dummies(frame, ("one", "f0"))


def test_singletons_are_kept_and_counted():
    frame = small()
    frame.loc[:4, "f0"] = 10_000 + np.arange(5)
    fit = same_as_dummies(frame, ("f0", "f1"))
    assert fit.absorbed.singletons[0] >= 5
    assert "have one row" in fit.summary()
    without = sr.Linear(features=FEATURES, absorb=("f0", "f1")).fit(source(frame[5:]))
    np.testing.assert_allclose(fit.coef, without.coef, rtol=1e-12)
    np.testing.assert_allclose(fit.std_errors, without.std_errors, rtol=1e-12)


@pytest.mark.parametrize("factors", [("f0",), ("f0", "f1"), ("f0", "f1", "f2")])
@pytest.mark.parametrize("scale", [1, 0.1])
def test_columns_that_do_not_vary_within_levels_are_named(factors, scale):
    frame = small()
    frame["d"] = scale * (frame["f0"] % 13)
    frame["e"] = 2 * frame["a"] + frame["d"] - 4
    fit = sr.Linear(features=(*FEATURES, "d", "e"), absorb=factors).fit(source(frame))
    names = ", ".join(factors)
    assert list(fit.dependencies) == [f"d = effects of {names}", f"e = 2 a + effects of {names}"]
    assert list(fit.identifiable) == [False, True, True, False, False]
    rest = sr.Linear(features=("a", "b", "c"), absorb=factors).fit(source(frame))
    np.testing.assert_allclose(fit.rss, rest.rss, rtol=1e-12)
    np.testing.assert_allclose(fit.coef[1:3], rest.coef[1:3], rtol=1e-11)
    assert np.isnan(fit.std_errors[[0, 3, 4]]).all()
    assert fit.digits[1:3].min() > 9
    assert fit.df_resid == rest.df_resid
    with pytest.raises(DataError, match=r"d = effects of f0"):
        sr.Linear(features=(*FEATURES, "d"), absorb=factors, singular="error").fit(source(frame))


@pytest.mark.parametrize("factors", [("f0",), ("f0", "f1"), ("f0", "f1", "f2")])
def test_little_variation_within_levels_takes_a_second_pass(factors):
    frame = small(60, 5)
    frame["a"] = 1e6 * frame["f0"] + np.round(frame["a"] * 2**10) / 2**10
    frame["y"] = np.round((frame["y"] - frame["f0"] * 1e5) * 2**10) / 2**10
    fit = sr.Linear(features=("a", "b"), absorb=factors).fit(source(frame))
    assert fit.passes == 2
    exact = np.array(exact_slopes(frame, factors, ("a", "b")))
    lost = -np.log10(np.abs(fit.coef / exact - 1) + 1e-17)
    assert (lost >= fit.digits).all()
    assert fit.digits.min() >= 9
    once = sr.Linear(features=("a", "b"), absorb=factors, precision="float64").fit(source(frame))
    assert once.passes == 1
    assert (-np.log10(np.abs(once.coef / exact - 1) + 1e-17) >= once.digits).all()
    residual = frame["y"].to_numpy() - fit.predict(source(frame))
    np.testing.assert_allclose(residual @ residual, fit.rss, rtol=1e-6)


def test_no_features():
    frame = small()
    fit = sr.Linear(features=(), absorb=("f0", "f1")).fit(source(frame))
    assert fit.names == ()
    np.testing.assert_allclose(fit.rss, with_dummies(frame, ("f0", "f1"), ()).rss, rtol=1e-12)
    residual = frame["y"].to_numpy() - fit.predict(source(frame))
    np.testing.assert_allclose(residual @ residual, fit.rss, rtol=1e-12)


def test_effects_have_mean_zero_and_give_fitted_values():
    frame = small()
    fit = sr.Linear(features=FEATURES, absorb=("f0", "f1")).fit(source(frame, "w"))
    fitted = fit.intercept + frame[list(FEATURES)].to_numpy() @ fit.coef
    for factor in ("f0", "f1"):
        effects = fit.effects(factor)
        assert list(effects) == sorted(frame[factor].unique())
        assert list(effects.rows) == list(frame[factor].value_counts().sort_index())
        own = np.array([effects[level] for level in frame[factor]])
        np.testing.assert_allclose(frame["w"] @ own, 0, atol=1e-11)
        fitted = fitted + own
    np.testing.assert_allclose(fit.predict(source(frame)), fitted, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(frame), fitted, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(frame[[*FEATURES, "f0", "f1"]].to_numpy()), fitted, rtol=1e-12)
    with pytest.raises(KeyError):
        fit.effects("f0")[12345]
    with pytest.raises(NotFound, match="no absorbed factor 'f2'"):
        fit.effects("f2")
    with pytest.raises(UsageError, match="no factor was absorbed"):
        sr.Linear(features=FEATURES).fit(source(frame)).effects("f0")


def test_levels_that_were_not_there(tmp_path):
    frame = small()
    fit = sr.Linear(features=FEATURES, absorb="f0").fit(source(frame))
    new = frame[:3].assign(f0=[frame["f0"][0], 999, frame["f0"][2]])
    with pytest.raises(DataError, match="level 999 of 'f0' has no effect"):
        fit.predict(new)
    assert list(np.isnan(fit.predict(new, unseen="missing"))) == [False, True, False]
    known = fit.intercept + new[list(FEATURES)].to_numpy() @ fit.coef
    np.testing.assert_allclose(fit.predict(new, unseen="reference")[1], known[1], rtol=1e-13)
    fit.save(tmp_path / "fit")
    again = sr.FitResult.load(tmp_path / "fit")
    np.testing.assert_array_equal(again.predict(frame), fit.predict(frame))
    assert again.summary() == fit.summary()
    assert again.rsquared_within == fit.rsquared_within
    assert dict(again.effects("f0")) == dict(fit.effects("f0"))


def test_rows_with_missing_values_are_left_out():
    frame = small().astype({"f0": float})
    frame.loc[3, "a"], frame.loc[5, "f0"] = np.nan, np.nan
    model = sr.Linear(features=FEATURES, absorb=("f0", "f1"), errors="HC1", missing="drop")
    fit, rest = model.fit(source(frame)), model.fit(source(frame.dropna()))
    np.testing.assert_allclose(fit.coef, rest.coef, rtol=1e-13)
    np.testing.assert_allclose(fit.std_errors, rest.std_errors, rtol=1e-12)
    assert (fit.n, fit.n_read, fit.n_missing) == (398, 400, 2)
    assert list(np.flatnonzero(np.isnan(fit.predict(frame)))) == [3, 5]


def test_text_and_several_columns_as_one_factor():
    frame = small().assign(text=lambda f: "level " + (f["f1"] // 7).astype(str))
    fit = sr.Linear(features=FEATURES, absorb=("f0", "text")).fit(source(frame))
    plain = sr.Linear(features=FEATURES, absorb=("f0", "f1")).fit(source(frame))
    np.testing.assert_allclose(fit.coef, plain.coef, rtol=1e-13)
    assert list(fit.effects("text")) == sorted(frame["text"].unique())
    first = frame.iloc[0]
    assert fit.effects("text")[first["text"]] == pytest.approx(plain.effects("f1")[first["f1"]])
    frame["both"] = frame["f1"] * 100 + frame["f2"]
    joined = sr.Linear(features=FEATURES, absorb=("f0", "text^f2")).fit(source(frame))
    apart = sr.Linear(features=FEATURES, absorb=("f0", "both")).fit(source(frame))
    np.testing.assert_allclose(joined.coef, apart.coef, rtol=1e-12)
    assert joined.df_resid == apart.df_resid
    np.testing.assert_allclose(joined.predict(source(frame)), apart.predict(source(frame)), rtol=1e-11)
    formula = sr.Linear(formula="y ~ a + b + c | f0 + text^f2").fit(source(frame))
    np.testing.assert_allclose(formula.coef, apart.coef, rtol=1e-12)


def test_robust_errors_of_a_fit_that_stands():
    frame = small()
    data = source(frame)
    fit = sr.Linear(features=FEATURES, absorb=("f0", "f1")).fit(data)
    for errors in ("HC0", "HC1", {"cluster": "group"}, {"cluster": ["group", "f0"]}):
        again = sr.robust(fit, data, errors)
        whole = sr.Linear(features=FEATURES, absorb=("f0", "f1"), errors=errors).fit(data)
        np.testing.assert_array_equal(again.std_errors, whole.std_errors)
        assert (again.passes, whole.passes) == (3, 2)
    with pytest.raises(ChangedError):
        sr.robust(fit, source(frame.assign(y=frame["y"] + frame["a"])), "HC1")
    with pytest.raises(UsageError, match="HC3"):
        sr.robust(fit, data, "HC3")


@pytest.mark.parametrize(
    "options",
    [{"ridge": 1.0}, {"precision": "exact"}, {"intercept": False}, {"device": "cpu"}, {"errors": "HC3"}],
)
def test_what_does_not_go_together_is_refused_in_one_line(options):
    with pytest.raises(UsageError, match=rf"do not go with {next(iter(options))}"):
        sr.Linear(features=FEATURES, absorb="f0", **options).fit(source(small()))


def test_moments_groups_and_names_that_are_wrong():
    frame = small()
    with pytest.raises(UsageError, match="do not go with moments"):
        sr.Linear(absorb="f0").fit(sr.scan(source(frame), features=FEATURES))
    with pytest.raises(UsageError, match="absorb no factors"):
        sr.fit_by(sr.Linear(absorb="f0"), source(frame), by="f1")
    with pytest.raises(NotFound, match="no column 'f9'"):
        sr.Linear(features=FEATURES, absorb="f9").fit(source(frame))
    with pytest.raises(UsageError, match="named twice"):
        sr.Linear(absorb=("f0", "f0"))
    with pytest.raises(DataError, match="does not name a group"):
        sr.Linear(features=("a",), absorb="b").fit(source(frame))
    with pytest.raises(UsageError, match="absorbs no factors"):
        sr.Penalised(formula="y ~ a | f0").fit(source(frame))
