"""Average marginal effects: those of statsmodels, and of its predictions by brute force; and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from formulaic import model_matrix
from numpy.testing import assert_allclose

import streamreg as sr
from streamreg.errors import DataError, NotFound, UsageError

RNG = np.random.default_rng(5)
N = 700
FRAME = pd.DataFrame(
    {
        "x": RNG.normal(2.0, 1.0, N),
        "z": RNG.uniform(1.0, 5.0, N),
        "g": np.array(["a", "b", "c"])[RNG.integers(0, 3, N)],
        "k": RNG.integers(0, 3, N),
        "treated": RNG.integers(0, 2, N),
        "away": RNG.uniform(0.5, 2.0, N),
    }
)
_ETA = 0.4 * FRAME["x"] - 1.0 + 0.5 * (FRAME["g"] == "c") - 0.2 * np.log(FRAME["z"]) + 0.3 * FRAME["treated"]
FRAME["y"] = _ETA + RNG.normal(size=N)
FRAME["label"] = (RNG.random(N) < 1.0 / (1.0 + np.exp(-_ETA))).astype(float)
FRAME["count"] = RNG.poisson(np.exp(_ETA)).astype(float)
FRAME["w"] = RNG.integers(1, 4, N).astype(float)

TERMS = "x*C(g) + log(z)*x + treated + C(k)"
MATRIX = model_matrix(TERMS, FRAME)
MODELS: dict[str, tuple[Any, Any]] = {
    "line": (sr.Linear(formula=f"y ~ {TERMS}"), None),
    "logit": (sr.Glm(family="binomial", formula=f"label ~ {TERMS}"), sm.families.Binomial()),
    "probit": (
        sr.Glm(family="binomial", link="probit", formula=f"label ~ {TERMS}"),
        sm.families.Binomial(sm.families.links.Probit()),
    ),
    "poisson": (sr.Glm(family="poisson", formula=f"count ~ {TERMS}"), sm.families.Poisson()),
}


def reference(target: str, family: Any) -> Any:
    if family is None:
        return sm.OLS(FRAME[target], MATRIX).fit()
    return sm.GLM(FRAME[target], MATRIX, family=family).fit(tol=1e-14, maxiter=200)


def brute(model: Any, change: Any, weight: Any = None) -> tuple[float, float]:
    """Return an average of predictions that `change` combines, and its error, by differences of the parameters."""
    weight = np.ones(N) if weight is None else np.asarray(weight)
    designs = [(share, np.asarray(MATRIX.model_spec.get_model_matrix(frame))) for share, frame in change]

    def mean(params: Any) -> float:
        total = sum(share * model.model.predict(params, design) for share, design in designs)
        return float(weight @ total / weight.sum())

    params, step = np.asarray(model.params), 1e-5
    slopes = [(mean(params + step * e) - mean(params - step * e)) / (2 * step) for e in np.eye(len(params))]
    covariance = np.asarray(model.cov_params())
    return mean(params), float(np.sqrt(slopes @ covariance @ slopes))


def along(name: str) -> Any:
    h = 1e-5
    return [
        (1 / (2 * h), FRAME.assign(**{name: FRAME[name] + h})),
        (-1 / (2 * h), FRAME.assign(**{name: FRAME[name] - h})),
    ]


def between(name: str, a: Any, b: Any) -> Any:
    return [(1.0, FRAME.assign(**{name: b})), (-1.0, FRAME.assign(**{name: a}))]


@pytest.mark.parametrize("at", ["average", "mean"])
@pytest.mark.parametrize("kind", ["dydx", "dyex", "eydx", "eyex"])
@pytest.mark.parametrize("name", ["spector", "fair"])
def test_they_are_those_of_get_margeff(name: str, kind: Any, at: str) -> None:
    if name == "spector":
        frame, target = sm.datasets.spector.load_pandas().data, "GRADE"
    else:
        frame, target = sm.datasets.fair.load_pandas().data.iloc[::7].copy(), "affair"
        frame[target] = (frame["affairs"] > 0).astype(float)
        frame = frame[["rate_marriage", "age", "religious", target]]
    names = [n for n in frame if n != target]
    fit = sr.Logistic(target=target, tolerance=1e-12).fit(frame)
    model = sm.Logit(frame[target], sm.add_constant(frame[names])).fit(disp=0, method="newton", tol=1e-13)
    found = sr.effects(fit, frame, kind=kind, at=at)
    expected = model.get_margeff(at={"average": "overall", "mean": "mean"}[at], method=kind)
    assert found.variables == tuple(names)
    assert_allclose(found.estimates, expected.margeff, rtol=1e-9)
    assert_allclose(found.std_errors, expected.margeff_se, rtol=1e-8)
    assert_allclose(found.pvalues, expected.pvalues, rtol=1e-6)
    assert_allclose(found.conf_int(), expected.conf_int(), rtol=1e-7, atol=1e-10)
    assert (found.digits > 8).all()


def test_contrasts_are_the_dummies_of_get_margeff() -> None:
    frame = sm.datasets.spector.load_pandas().data
    model = sm.Logit(frame["GRADE"], sm.add_constant(frame[["GPA", "TUCE", "PSI"]])).fit(disp=0, tol=1e-13)
    found = sr.effects(sr.Logistic(target="GRADE").fit(frame), frame, contrasts={"PSI": (0, 1)})
    assert found.contrasts == ("dY/dX", "dY/dX", "1 - 0")
    expected = model.get_margeff(dummy=True)
    assert_allclose(found.estimates, expected.margeff, rtol=1e-8)
    assert_allclose(found.std_errors, expected.margeff_se, rtol=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_terms_of_a_formula_are_followed(name: str) -> None:
    spec, family = MODELS[name]
    model = reference(spec.formula.split(" ~ ")[0], family)
    found = sr.effects(spec.fit(FRAME), FRAME, contrasts={"treated": (0, 1)})
    expected = {
        ("x", "dY/dX"): along("x"),
        ("g", "b - a"): between("g", "a", "b"),
        ("g", "c - a"): between("g", "a", "c"),
        ("z", "dY/dX"): along("z"),
        ("treated", "1 - 0"): between("treated", 0, 1),
        ("k", "1 - 0"): between("k", 0, 1),
        ("k", "2 - 0"): between("k", 0, 2),
    }
    assert dict.fromkeys(zip(found.variables, found.contrasts, strict=True)).keys() == expected.keys()
    for k, key in enumerate(zip(found.variables, found.contrasts, strict=True)):
        estimate, error = brute(model, expected[key])
        assert_allclose(found.estimates[k], estimate, rtol=1e-7)
        assert_allclose(found.std_errors[k], error, rtol=1e-6)


@pytest.mark.parametrize("name", ["line", "logit"])
def test_groups_are_averages_of_their_rows(name: str) -> None:
    spec, _ = MODELS[name]
    fit = spec.fit(FRAME)
    found = sr.effects(fit, FRAME, "x", by=["g", "treated"])
    assert found.groups == tuple((g, t) for g in "abc" for t in (0, 1))
    for k, (g, t) in enumerate(found.groups):
        alone = sr.effects(fit, FRAME[(FRAME["g"] == g) & (FRAME["treated"] == t)], "x")
        assert_allclose(found.estimates[k], alone.estimates[0], rtol=1e-9)
        assert_allclose(found.std_errors[k], alone.std_errors[0], rtol=1e-9)


def test_weights_of_two_are_rows_twice() -> None:
    fit = MODELS["poisson"][0].fit(FRAME)
    weighted = sr.effects(fit, sr.open(FRAME, weights="w"))
    repeated = sr.effects(fit, FRAME.loc[FRAME.index.repeat(FRAME["w"].astype(int))])
    assert_allclose(weighted.estimates, repeated.estimates, rtol=1e-9)
    assert_allclose(weighted.std_errors, repeated.std_errors, rtol=1e-9)


def test_robust_errors_and_absorbed_effects_are_those_of_the_line() -> None:
    fit = sr.Linear(formula="y ~ x + z", errors="HC1").fit(FRAME)
    found = sr.effects(fit, FRAME)
    assert_allclose(found.estimates, fit.coef, rtol=1e-8)
    assert_allclose(found.std_errors, fit.std_errors, rtol=1e-8)
    assert found.errors == "HC1"
    within = sr.Linear(formula="y ~ x*treated | g").fit(FRAME)
    b, v = within.coef, within.cov()
    share = np.array([1.0, 0.0, FRAME["treated"].mean()])
    found = sr.effects(within, FRAME, "x")
    assert within.names == ("x", "treated", "x:treated")
    assert_allclose(found.estimates, [share @ b], rtol=1e-8)
    assert_allclose(found.std_errors, [np.sqrt(share @ v @ share)], rtol=1e-8)
    with pytest.raises(UsageError, match="slopes of lines only"):
        sr.effects(within, FRAME, "x", kind="eyex")


def test_offsets_move_the_mean() -> None:
    fit = sr.Glm(family="poisson", exposure="away", formula="count ~ x").fit(FRAME)
    model = smf.glm("count ~ x", FRAME, family=sm.families.Poisson(), exposure=FRAME["away"]).fit(tol=1e-14)
    mean = model.predict(FRAME, exposure=FRAME["away"])
    found = sr.effects(fit, FRAME)
    assert_allclose(found.estimates, [model.params["x"] * mean.mean()], rtol=1e-8)
    # d/db of b mean(exp(a + b x + o)): (b mean, mean + b mean x).
    mu, b = np.asarray(mean), model.params["x"]
    slopes = np.array([b * mu.mean(), mu.mean() + b * (mu * FRAME["x"]).mean()])
    assert_allclose(found.std_errors, [np.sqrt(slopes @ model.cov_params() @ slopes)], rtol=1e-7)


def test_powers_splines_and_values_of_columns() -> None:
    fit = sr.Linear(features=("x", "z"), target="y", powers={"x": 3}).fit(FRAME)
    x = FRAME["x"]
    expected = fit.coef @ [1.0, 2 * x.mean(), 3 * (x**2).mean(), 0.0]
    assert fit.names == ("x", "x^2", "x^3", "z")
    assert_allclose(sr.effects(fit, FRAME, "x").estimates, [expected], rtol=1e-8)
    smooth = sr.Linear(formula="y ~ bs(x, df=5)").fit(FRAME)
    found = sr.effects(smooth, FRAME)  # the ends are at rows: differences go to one side there
    h = 1e-6
    inner = FRAME[(x > x.min() + h) & (x < x.max() - h)]
    shifted = [np.asarray(smooth.predict(inner.assign(x=inner["x"] + s))) for s in (h, -h)]
    inside = sr.effects(smooth, inner).estimates
    assert_allclose(inside, [((shifted[0] - shifted[1]) / (2 * h)).mean()], rtol=1e-6)
    assert np.isfinite(found.estimates).all()
    assert abs(found.estimates[0] - inside[0]) < 0.1
    crossed = sr.Linear(formula="y ~ x*z").fit(FRAME)
    held = sr.effects(crossed, FRAME, "x", at={"z": 2.0})
    assert_allclose(held.estimates, [crossed.coef[0] + 2.0 * crossed.coef[2]], rtol=1e-9)
    v = crossed.cov()
    assert_allclose(held.std_errors, [np.sqrt([1, 0, 2] @ v @ [1, 0, 2])], rtol=1e-8)
    found = sr.effects(crossed, FRAME, "x", at="mean")
    assert_allclose(found.estimates, [crossed.coef[0] + FRAME["z"].mean() * crossed.coef[2]], rtol=1e-9)


def test_same_bits_for_any_threads_and_storage(tmp_path: Path) -> None:
    fit = MODELS["logit"][0].fit(FRAME)
    big = pd.concat([FRAME] * 60, ignore_index=True)
    big.to_parquet(tmp_path / "rows.parquet", row_group_size=1_000)
    expected = sr.effects(fit, big, by="g", threads=1)
    for data, threads in ((big, 3), (sr.open(tmp_path / "rows.parquet"), 1), (str(tmp_path / "rows.parquet"), 3)):
        found = sr.effects(fit, data, by="g", threads=threads)
        assert (found.estimates == expected.estimates).all()
        assert (found.std_errors == expected.std_errors).all()


def test_rows_with_holes() -> None:
    holed = FRAME.assign(x=FRAME["x"].where(FRAME.index % 7 > 0))
    fit = sr.Linear(formula="y ~ x*z", missing="drop").fit(holed)
    found = sr.effects(fit, holed)
    assert (found.n, found.n_missing) == (fit.n, fit.n_missing)
    assert (found.estimates == sr.effects(fit, holed.dropna()).estimates).all()
    with pytest.raises(DataError, match=r"row 0 .*'x' has no value"):
        sr.effects(fit, holed, missing="error")
    with pytest.raises(DataError, match=r"row 0 .*'x' has no value"):
        sr.effects(sr.Linear(formula="y ~ x*z").fit(FRAME), holed)


def test_what_the_data_do_not_determine_is_not_given() -> None:
    twice = FRAME.assign(x2=2.0 * FRAME["x"])
    fit = sr.Linear(features=("x", "x2", "z"), target="y").fit(twice)
    found = sr.effects(fit, twice)
    assert np.isnan(found.estimates).tolist() == [True, True, False]
    assert found.status == fit.status == "dependent"


FIT = sr.Linear(formula="y ~ x + C(g)").fit(FRAME)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"variables": "q"}, UsageError, "no term of the fit is made of 'q'"),
        ({"kind": "slope"}, UsageError, "kind"),
        ({"kind": "eyex"}, UsageError, "contrasts are differences of means"),
        ({"contrasts": {"x": (1, 1)}}, UsageError, "two different values"),
        ({"contrasts": {"g": ("a", "q")}}, DataError, "'q'"),
        ({"at": "median"}, UsageError, "'average', 'mean'"),
        ({"at": "mean"}, UsageError, "'g' has no mean"),
        ({"at": {"g": 1.0}}, UsageError, "give one text"),
        ({"at": {"g": "b"}}, UsageError, "cannot be one value"),
        ({"by": "town"}, NotFound, "town"),
        ({"missing": "mean"}, UsageError, "'error' or 'drop'"),
        ({"level": 2.0}, UsageError, "level"),
    ],
)
def test_odd_questions_are_refused(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        sr.effects(FIT, FRAME, **options)


def test_fits_without_errors_are_refused() -> None:
    ridge = sr.Linear(formula="y ~ x", ridge=1.0).fit(FRAME)
    with pytest.raises(UsageError, match="no standard errors"):
        sr.effects(ridge, FRAME)
    with pytest.raises(UsageError, match="marginal effects are of the fit"):
        sr.effects("fit.npz", FRAME)  # type: ignore[arg-type]


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from streamreg.cli import main

    FRAME.to_parquet(tmp_path / "rows.parquet")
    fit = MODELS["logit"][0].fit(FRAME)
    fit.save(tmp_path / "fit.npz")
    paths = [str(tmp_path / name) for name in ("fit.npz", "rows.parquet")]
    assert main(["effects", *paths, "--by", "g", "--variables", "x", "--contrast", "treated=0,1", "--at", "z=2"]) == 0
    expected = sr.effects(fit, FRAME, "x", by="g", contrasts={"treated": (0, 1)}, at={"z": 2})
    texts = (capsys.readouterr().out, expected.summary())
    shown, wanted = (text[text.index("contrast") :].split() for text in texts)
    assert shown == wanted
    for wrong in (["--contrast", "treated"], ["--contrast", "treated=0"], ["--at", "z="], ["--kind", "slope"]):
        assert main(["effects", *paths, *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
