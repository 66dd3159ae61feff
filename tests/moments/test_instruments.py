"""Instrumental variables: the numbers of linearmodels, exact digits, weights, and trouble in words."""

import warnings
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pytest

import streamreg as sr
from streamreg.errors import DataError, NotFound, UsageError

linearmodels = pytest.importorskip("linearmodels")
METHODS = ("2sls", "liml")


def card() -> tuple[pd.DataFrame, list[str], list[str], list[str], str]:
    from linearmodels.datasets import card as shipped

    exogenous = ["exper", "expersq", "black", "smsa", "south"]
    columns = ["lwage", "educ", *exogenous, "nearc2", "nearc4"]
    return shipped.load()[columns].dropna().astype(float), exogenous, ["educ"], ["nearc2", "nearc4"], "lwage"


def mroz() -> tuple[pd.DataFrame, list[str], list[str], list[str], str]:
    from linearmodels.datasets import mroz as shipped

    z = ["fatheduc", "motheduc", "huseduc"]
    columns = ["lwage", "educ", "exper", "expersq", *z]
    return shipped.load()[columns].dropna().astype(float), ["exper", "expersq"], ["educ"], z, "lwage"


def generated(centre: float = 10.0, size: float = 1.0) -> tuple[pd.DataFrame, list[str], list[str], list[str], str]:
    rng = np.random.default_rng(5)
    z, x, u = rng.standard_normal((800, 4)), rng.standard_normal((800, 2)), rng.standard_normal(800)
    d = pd.DataFrame(np.column_stack([x, z]), columns=["a", "b", "z1", "z2", "z3", "z4"])
    d["w1"] = z @ [1, 0.5, 0, 0.2] + x[:, 0] + u + rng.standard_normal(800)
    d["w2"] = centre + size * (z @ [0, 0.5, 1, -0.2] - u + rng.standard_normal(800))
    d["y"] = 3 + x @ [1, -1] + d.w1 - d.w2 / size + 2 * u + rng.standard_normal(800)
    return d, ["a", "b"], ["w1", "w2"], ["z1", "z2", "z3", "z4"], "y"


SETS = {"card": card, "mroz": mroz, "generated": generated}


def reference(
    d: pd.DataFrame, x: Any, w: Any, z: Any, y: str, method: str, intercept: bool, weights: Any = None
) -> Any:
    from linearmodels.iv import IV2SLS, IVLIML

    exogenous = d[x].assign(intercept=1.0) if intercept else d[x]
    model = {"2sls": IV2SLS, "liml": IVLIML}[method]
    return model(d[y], exogenous, d[w], d[z], weights=weights).fit(cov_type="unadjusted", debiased=True)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("intercept", [True, False])
def test_it_equals_linearmodels(name: str, method: Any, intercept: bool) -> None:
    d, x, w, z, y = SETS[name]()
    ref = reference(d, x, w, z, y, method, intercept)
    fit = sr.IV(features=x, endogenous=w, instruments=z, method=method, intercept=intercept).fit(sr.open(d, target=y))
    names = list(fit.names)
    np.testing.assert_allclose(fit.coef, ref.params[names], rtol=1e-8)
    np.testing.assert_allclose(fit.std_errors, ref.std_errors[names], rtol=1e-8)
    np.testing.assert_allclose(
        fit.covariance, ref.cov.loc[names, names], rtol=1e-7, atol=1e-9 * np.abs(ref.cov).max().max()
    )
    np.testing.assert_allclose(fit.conf_int(), ref.conf_int().loc[names], rtol=1e-8)
    np.testing.assert_allclose([fit.rss, fit.sargan], [ref.resid_ss, ref.sargan.stat], rtol=1e-8)
    np.testing.assert_allclose(fit.sargan_pvalue, ref.sargan.pval, rtol=1e-6)
    if intercept:
        np.testing.assert_allclose(fit.intercept, ref.params["intercept"], rtol=1e-8)
        np.testing.assert_allclose(fit.intercept_std_error, ref.std_errors["intercept"], rtol=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = ref.first_stage.diagnostics
    np.testing.assert_allclose(fit.first_stage_f, first["f.stat"].astype(float), rtol=1e-8)
    np.testing.assert_allclose(fit.partial_rsquared, first["partial.rsquared"].astype(float), rtol=1e-8)
    if method == "liml":
        np.testing.assert_allclose(fit.kappa, ref.kappa, rtol=1e-10)
    else:
        hausman = ref.wu_hausman()
        np.testing.assert_allclose([fit.wu_hausman, fit.df_hausman], [hausman.stat, hausman.df_denom], rtol=1e-7)


def test_several_endogenous_columns_have_one_f() -> None:
    d, x, w, z, y = generated()
    fit = sr.IV(features=x, endogenous=w, instruments=z).fit(sr.open(d, target=y))
    out = np.column_stack([np.ones(len(d)), d[x]])
    wide, ends = (
        np.asarray(m - out @ np.linalg.lstsq(out, m, rcond=None)[0]) for m in (d[z].to_numpy(), d[w].to_numpy())
    )
    seen = wide @ np.linalg.lstsq(wide, ends, rcond=None)[0]
    rest = (ends - seen).T @ (ends - seen) / fit.df_first
    least = np.linalg.eigvals(np.linalg.solve(rest, seen.T @ seen)).real.min() / len(z)
    np.testing.assert_allclose(fit.cragg_donald, least, rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_weights_are_those_of_linearmodels_or_count_rows(method: Any) -> None:
    d, x, w, z, y = generated()
    weights = np.random.default_rng(1).integers(1, 4, len(d)).astype(float)
    model = {"features": x, "endogenous": w, "instruments": z, "method": method}
    ref = reference(d, x, w, z, y, method, True, weights)
    held = sr.open(d.assign(v=weights), target=y, weights="v")
    fit = sr.IV(**model).fit(held)
    np.testing.assert_allclose(fit.coef, ref.params[list(fit.names)], rtol=1e-8)
    np.testing.assert_allclose(fit.std_errors, ref.std_errors[list(fit.names)], rtol=1e-8)
    often = sr.IV(**model, weight_kind="frequency").fit(held)
    rows = sr.IV(**model).fit(sr.open(d.loc[d.index.repeat(weights.astype(int))].reset_index(drop=True), target=y))
    for name in ("coef", "std_errors", "intercept_std_error", "sargan", "wu_hausman", "first_stage_f", "df_resid"):
        np.testing.assert_allclose(getattr(often, name), getattr(rows, name), rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_formulas_moments_and_rows_are_the_same_fit(method: Any, tmp_path: Any) -> None:
    d, _, w, z, y = generated()
    fit = sr.IV(endogenous=w, instruments=z, method=method).fit(sr.open(d, target=y))
    sr.scan(sr.open(d, target=y)).save(tmp_path / "a.moments")
    stored = sr.IV(endogenous=w, instruments=z, method=method).fit(tmp_path / "a.moments")
    said = sr.IV("y ~ a + b + [w1 + w2 ~ z1 + z2 + z3 + z4]", method=method).fit(d)
    assert (fit.passes, stored.passes) == (1, 0)
    assert said.names == fit.names
    for one in (stored, said):
        np.testing.assert_allclose(one.coef, fit.coef, rtol=1e-12)
        np.testing.assert_allclose(one.std_errors, fit.std_errors, rtol=1e-12)
    many = sr.IV(endogenous=w, instruments=z, method=method).fit(sr.open(d, target=y), threads=3)
    np.testing.assert_array_equal(many.coef, fit.coef)


@pytest.mark.parametrize("near", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("far", [0.0, 1e6])
def test_promised_digits_are_there(near: float, far: float) -> None:
    rng = np.random.default_rng(7)
    z, u, x = rng.standard_normal((60, 2)), rng.standard_normal(60), rng.standard_normal(60)
    z[:, 1] = z[:, 0] + near * z[:, 1]
    w = z @ [1.0, 1.0] + near * x + u
    y = w + x + u + rng.standard_normal(60)
    columns = np.column_stack([x + far, w, z + far, y])
    names = ["x", "w", "z1", "z2", "y"]
    model, source = sr.IV(endogenous=["w"], instruments=["z1", "z2"]), sr.open(columns, columns=names, target="y")
    if far and near < 1e-4:  # rounding of the input alone hides whether z2 is z1
        with pytest.raises(DataError, match="so nearly that moments do not tell"):
            model.fit(source)
        return
    fit = model.fit(source)
    with mpmath.workdps(60):
        line, through = [mpmath.matrix([[1, *map(float, row[ks])] for row in columns]) for ks in ([0, 1], [0, 2, 3])]
        target = mpmath.matrix(columns[:, -1].tolist())
        seen = through * (mpmath.inverse(through.T * through) * (through.T * line))
        exact = mpmath.lu_solve(seen.T * line, seen.T * target)
        error = [abs(mpmath.mpf(float(b)) / e - 1) for b, e in zip(fit.coef, list(exact)[1:], strict=True)]
    assert all(float(e) <= 10.0**-digits for e, digits in zip(error, fit.digits, strict=True))
    assert fit.digits.min() > 15 + 3 * np.log10(near) - 7


def test_liml_is_exact_where_linearmodels_loses_digits() -> None:
    """An endogenous column far from zero in a line without intercept, where linearmodels is right to 1e-8."""
    d, x, w, z, y = generated(1e4, 1e3)
    fit = sr.IV(features=x, endogenous=w, instruments=z, method="liml", intercept=False).fit(sr.open(d, target=y))
    with mpmath.workdps(50):
        line, through, out, ends, target = (
            mpmath.matrix(d[names].to_numpy().tolist()) for names in ([*x, *w], [*x, *z], x, [*w, y], [y])
        )

        def left(c: Any) -> Any:
            return ends.T * ends - (ends.T * c) * (mpmath.inverse(c.T * c) * (c.T * ends))

        kappa = min(mpmath.re(v) for v in mpmath.eig(mpmath.inverse(left(through)) * left(out))[0])
        seen = (line.T * through) * mpmath.inverse(through.T * through)
        cross = (1 - kappa) * (line.T * line) + kappa * (seen * (through.T * line))
        exact = mpmath.lu_solve(cross, (1 - kappa) * (line.T * target) + kappa * (seen * (through.T * target)))
        error = [abs(mpmath.mpf(float(b)) / e - 1) for b, e in zip(fit.coef, list(exact), strict=True)]
    assert all(float(e) <= 10.0**-digits for e, digits in zip(error, fit.digits, strict=True))
    assert fit.digits.min() > 10
    assert fit.kappa == pytest.approx(float(kappa), rel=1e-12)


def test_the_bootstrap_resamples_it() -> None:
    d, x, w, z, y = generated()
    model, moments = sr.IV(features=x, endogenous=w, instruments=z), sr.scan(sr.open(d, target=y), blocks=40)
    found, fit = sr.bootstrap(model, moments, replicates=200), model.fit(moments)
    assert found.names == ("intercept", *fit.names)
    np.testing.assert_allclose(found.estimates[1:], fit.coef, rtol=1e-9)
    np.testing.assert_allclose(found.std_errors[1:], fit.std_errors, rtol=0.5)


def test_trouble_is_said() -> None:
    d, x, w, z, y = generated()

    def fit(frame: pd.DataFrame, **options: Any) -> Any:
        return sr.IV(**{"features": x, "endogenous": w, "instruments": z, **options}).fit(sr.open(frame, target=y))

    with pytest.raises(DataError, match="dependent columns in the first stage"):
        fit(d.assign(z4=d.z1 + d.z2))
    with pytest.raises(DataError, match="dependent columns in the line"):
        fit(d.assign(w2=2 * d.w1 - d.a))
    others = np.column_stack([np.ones(len(d)), d[["a", "b", "w1"]]])
    lone = d.z1 - others @ np.linalg.lstsq(others, d.z1, rcond=None)[0]
    with pytest.raises(DataError, match="do not determine"):
        fit(d.assign(z1=lone), endogenous=["w1"], instruments=["z1"])
    with pytest.raises(NotFound, match="no column 'z9'"):
        fit(d, instruments=["z1", "z2", "z9"])
    with pytest.raises(UsageError, match="is the target"):
        fit(d, instruments=["z1", "z2", "y"])
    with pytest.raises(UsageError, match="take as many instruments"):
        fit(d, instruments=["z1"])
    with pytest.raises(UsageError, match="named twice"):
        fit(d, instruments=["z1", "w1"])
    with pytest.raises(UsageError, match="endogenous is empty"):
        sr.IV(instruments=["z1"])
    with pytest.raises(UsageError, match="said twice"):
        sr.IV("y ~ a + [w1 ~ z1]", endogenous=["w1"], instruments=["z1"])
    with pytest.raises(DataError, match="too few"):
        fit(d[:6])
    noise = d.assign(z1=np.random.default_rng(3).standard_normal(len(d)))
    weak = fit(noise, endogenous=["w1"], instruments=["z1"])
    assert "Weak instruments" in weak.summary()
    assert np.isnan(weak.sargan)
    assert "whether they are exogenous" in weak.summary()
