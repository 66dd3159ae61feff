"""Missing values: refused, left out and counted by column, or filled by means that stay with the fit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm

import streamreg as sr
from streamreg.__main__ import main
from streamreg.errors import OnePassError

RNG = np.random.default_rng(0)
N = 4000


def people() -> pd.DataFrame:
    """Return rows in which age, income and zone are missing at times; age is far from zero."""
    rng = np.random.default_rng(0)
    d = pd.DataFrame({"age": rng.normal(1040, 10, N), "income": rng.gamma(3, 10, N), "z": rng.normal(size=N)})
    d["y"] = d.age * 0.1 + d.income * 0.2 + d.z + rng.normal(size=N)
    d["zone"] = rng.choice(["a", "b", "c"], N)
    d["w"] = rng.integers(1, 5, N).astype(float)
    d["kids"] = pd.array(rng.integers(0, 4, N), dtype="Int64")
    for name, share in (("age", 0.1), ("income", 0.2), ("kids", 0.1), ("zone", 0.05)):
        d.loc[rng.random(N) < share, name] = None if name == "zone" else np.nan if name != "kids" else pd.NA
    return d


PEOPLE = people()
NUMBERS = ("age", "income", "z", "kids")


def by_hand(missing: Any, weights: bool = False) -> tuple[pd.DataFrame, Any]:
    """Return the design in memory, and the fit of statsmodels."""
    policy = {n: missing if isinstance(missing, str) else missing.get(n, missing.get("*", "error")) for n in NUMBERS}
    d = PEOPLE.dropna(subset=[n for n in NUMBERS if policy[n] == "drop"]).astype({"kids": float})
    x = d[list(NUMBERS)].copy()
    for name in NUMBERS:
        here = x[name].notna()
        mean = np.average(x[name][here], weights=d.w[here] if weights else None)
        if policy[name] == "indicator" and not here.all():
            x[f"{name}[missing]"] = (~here) * 1.0
        x[name] = x[name].fillna(mean)
    fit = sm.WLS(d.y, sm.add_constant(x), weights=d.w if weights else 1.0).fit()
    return x, fit


POLICIES: list[Any] = [
    "drop",
    "mean",
    "indicator",
    {"age": "mean", "income": "indicator", "*": "drop"},
    {"age": "mean", "income": "drop", "kids": "mean"},
    {"age": "indicator", "*": "mean"},
]


@pytest.mark.parametrize("weights", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("missing", POLICIES, ids=str)
def test_fits_are_those_of_a_filled_matrix(missing: Any, weights: bool, tmp_path: Path) -> None:
    x, expected = by_hand(missing, weights)
    data = sr.open(PEOPLE, target="y", features=NUMBERS, weights="w" if weights else None)
    moments = sr.scan(data, missing="indicator" if missing != "drop" else "drop")
    sources: list[tuple[Any, int]] = [(data, 1)]
    if "drop" not in str(missing):
        moments.save(tmp_path / "a.moments")
        sources += [(moments, 0), (tmp_path / "a.moments", 0)]
    for source, passes in sources:
        fit = sr.Linear(missing=missing if passes or missing != "drop" else "error").fit(source)
        coef = dict(zip(fit.names, fit.coef, strict=True))
        assert set(coef) == set(x.columns)
        np.testing.assert_allclose([coef[name] for name in x], expected.params[1:], rtol=1e-10)
        errors = dict(zip(fit.names, fit.std_errors, strict=True))
        np.testing.assert_allclose([errors[name] for name in x], expected.bse[1:], rtol=1e-10)
        assert fit.passes in (passes, 4 * passes)  # where digits are missing
    robust = sr.Linear(missing=missing, errors="HC1").fit(data)  # learns the means first
    np.testing.assert_allclose(
        [dict(zip(robust.names, robust.coef, strict=True))[n] for n in x], expected.params[1:], rtol=1e-10
    )


@pytest.mark.parametrize("missing", ["mean", "indicator", {"age": "mean", "*": "indicator"}], ids=str)
def test_the_means_stay_with_the_fit(missing: Any, tmp_path: Path) -> None:
    _, expected = by_hand(missing)
    fit = sr.Linear(target="y", features=NUMBERS, missing=missing).fit(PEOPLE)
    fit.save(tmp_path / "fit.npz")
    fit = sr.FitResult.load(tmp_path / "fit.npz")
    fresh = PEOPLE.iloc[:200]
    np.testing.assert_allclose(fit.predict(fresh), expected.fittedvalues[:200], rtol=1e-10)
    np.testing.assert_allclose(fit.predict(sr.open(fresh)), expected.fittedvalues[:200], rtol=1e-10)
    matrix = fresh[list(NUMBERS)].astype(float).to_numpy()
    np.testing.assert_allclose(fit.predict(matrix), expected.fittedvalues[:200], rtol=1e-10)
    card = sr.score({"line": fit}, sr.open(PEOPLE, target="y"))
    assert card.scores["line"].explained == pytest.approx(expected.rsquared, rel=1e-9)
    assert sr.compare(fit, sr.FitResult.load(tmp_path / "fit.npz")).verdict.startswith("agree")


def test_the_same_bits_however_the_rows_come(tmp_path: Path) -> None:
    PEOPLE.to_parquet(tmp_path / "a.parquet", row_group_size=300)
    PEOPLE.to_csv(tmp_path / "a.csv", index=False)
    for errors in ("classical", "HC1"):
        model = sr.Linear(target="y", features=NUMBERS, missing={"age": "mean", "*": "indicator"}, errors=errors)
        fits = [model.fit(PEOPLE, threads=k) for k in (1, 3)]
        fits += [model.fit(tmp_path / name, threads=2) for name in ("a.parquet", "a.csv")]
        for fit in fits[1:]:
            np.testing.assert_array_equal(fit.coef, fits[0].coef)
            np.testing.assert_array_equal(fit.std_errors, fits[0].std_errors)


def test_rows_left_out_are_counted_by_column() -> None:
    fit = sr.Linear(formula="y ~ log(age) + income:z + zone", missing="drop").fit(PEOPLE)
    (part,) = fit.provenance["sources"]
    used = PEOPLE[["age", "income", "z", "zone"]].notna()
    assert part["missing_in"] == {n: int((~used[n]).sum()) for n in ("age", "income", "zone")}
    assert part["rows"] == part["used"] + part["missing"] == N
    assert part["used"] == used.all(axis=1).sum() == fit.n
    plain = sr.Linear(target="y", features=NUMBERS, missing="drop").fit(PEOPLE)
    (part,) = plain.provenance["sources"]
    assert part["missing_in"] == {n: int(PEOPLE[n].isna().sum()) for n in ("age", "income", "kids")}
    assert f"(age: {part['missing_in']['age']:,}, income: " in plain.summary()
    moments = sr.scan(PEOPLE[[*NUMBERS, "y"]], missing="drop", target="y")
    assert moments.record.parts[0].missing_in == part["missing_in"]


def test_policies_in_formulas() -> None:
    missing = {"age": "mean", "kids": "indicator", "*": "drop"}
    fit = sr.Linear(formula="y ~ log(age) + center(income) + C(zone) + kids", missing=missing).fit(PEOPLE)
    d = PEOPLE.dropna(subset=["income", "zone"]).astype({"kids": float})
    x = pd.DataFrame({"a": np.log(d.age.fillna(d.age.mean())), "i": d.income, "k": d.kids.fillna(d.kids.mean())})
    x = x.assign(b=(d.zone == "b") * 1.0, c=(d.zone == "c") * 1.0, m=d.kids.isna() * 1.0)
    expected = sm.OLS(d.y, sm.add_constant(x)).fit()
    coef = dict(zip(fit.names, fit.coef, strict=True))
    found = [coef[n] for n in ("log(age)", "center(income)", "kids", "C(zone)[T.b]", "C(zone)[T.c]", "kids[missing]")]
    np.testing.assert_allclose(found, expected.params[1:], rtol=1e-9)
    predicted = fit.predict(sr.open(PEOPLE.assign(income=PEOPLE.income.fillna(1.0), zone=PEOPLE.zone.fillna("a"))))
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted[d.index], expected.fittedvalues, rtol=1e-9)
    absorbed = sr.Linear(formula="y ~ age + kids | zone", missing=missing).fit(PEOPLE)
    assert absorbed.names == ("age", "kids", "kids[missing]")


def test_other_models() -> None:
    d = PEOPLE.assign(late=PEOPLE.y > PEOPLE.y.median())
    x = d[["age", "income"]].fillna(d[["age", "income"]].mean())
    glm = sr.Glm(target="late", features=("age", "income"), family="binomial", missing="mean").fit(d)
    plain = sr.Glm(target="late", features=("age", "income"), family="binomial").fit(x.assign(late=d.late))
    np.testing.assert_allclose(glm.coef, plain.coef, rtol=1e-9)
    np.testing.assert_allclose(glm.predict(d), plain.predict(x), rtol=1e-9)
    path = sr.Penalised(target="y", features=("age", "income", "z"), missing="mean").fit(d)
    whole = sr.Penalised(target="y").fit(x.assign(z=d.z, y=d.y))
    np.testing.assert_allclose(path.coef, whole.coef, rtol=1e-6, atol=1e-9)
    moments = sr.scan(d[["age", "income", "z", "y"]], missing="indicator", target="y")
    again = sr.Penalised(missing="mean").fit(moments)
    np.testing.assert_allclose(again.coef, whole.coef, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rule", ["cv", "bic"])
def test_selected_and_constrained_lines(rule: Any) -> None:
    d = PEOPLE[["age", "income", "z", "y"]]
    model = sr.Penalised(target="y", features=("age", "income", "z"), missing={"age": "indicator", "income": "mean"})
    fit = sr.Selected(model, rule=rule).fit(d)
    x = d[["age", "income", "z"]].fillna(d.mean()).assign(**{"age[missing]": d.age.isna() * 1.0})
    whole = sr.Selected(sr.Penalised(target="y"), rule=rule).fit(x.assign(y=d.y))
    assert fit.names == whole.names
    np.testing.assert_allclose(fit.coef, whole.coef, rtol=1e-6, atol=1e-9)
    tied = sr.Constrained(target="y", restrictions="age = z", missing="mean").fit(d)
    moments = sr.scan(d, target="y", missing="indicator")
    again = sr.Constrained(restrictions="age = z", missing="mean").fit(moments)
    np.testing.assert_allclose(tied.coef, again.coef, rtol=1e-9)
    with pytest.raises(sr.UsageError, match="lines by level"):
        sr.fit_by(sr.Linear(target="y", missing="mean"), PEOPLE, by="zone")


def test_a_filter_and_held_out_rows_come_first() -> None:
    source = sr.open(PEOPLE, where="income is missing or income > 20")
    train, _ = sr.split(source, 0.3, seed=1)
    fit = sr.Linear(target="y", features=("age", "z"), missing="mean").fit(train)
    robust = sr.Linear(target="y", features=("age", "z"), missing="mean", errors="HC0").fit(train)
    passed = (PEOPLE.income.isna() | (PEOPLE.income > 20)).to_numpy() & train.roles.sample.mask(0, N)
    mean = PEOPLE.age[passed].mean()
    assert fit.encoder["fills"]["age"][0] == pytest.approx(mean, rel=1e-14)
    assert robust.encoder["fills"]["age"][0] == pytest.approx(mean, rel=1e-15)
    assert fit.n == robust.n == passed.sum()


def test_seals_and_growth(tmp_path: Path) -> None:
    from streamreg.engines.serial import Serial
    from streamreg.scans import seal

    path = tmp_path / "a.parquet"
    PEOPLE.iloc[:3000].to_parquet(path)
    data = sr.open(path, target="y", features=("age", "z"))
    seal.write(data, seal.read(data, Serial()))
    fit = sr.Linear(missing="mean").fit(data)
    log = sr.Linear(formula="y ~ log(age) + z", missing="mean").fit(data)
    assert fit.n == log.n == 3000
    held = sr.scan(data, missing="indicator")
    held.save(tmp_path / "a.moments")
    PEOPLE.to_parquet(path)
    (tmp_path / "a.parquet.seal").unlink()
    grown = sr.append(tmp_path / "a.moments", sr.open(path, features=("age", "z")))
    whole = sr.Linear(target="y", features=("age", "z"), missing="mean").fit(PEOPLE)
    np.testing.assert_allclose(sr.Linear(missing="mean").fit(grown).coef, whole.coef, rtol=1e-10)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("error", r"row 5 \(from 0\), column 'income': NaN"),
        ({"income": "mean"}, "column 'age': NaN.*--missing age=drop,"),
        ({"aeg": "mean"}, "no column 'aeg'; did you mean 'age'"),
        ({"y": "mean"}, "column 'y' is no feature"),
        ({"age": "median"}, "'median'"),
        ("fill", "'fill'"),
    ],
    ids=str,
)
def test_what_cannot_be_is_told(missing: Any, told: str) -> None:
    with pytest.raises((sr.UsageError, sr.DataError), match=told):
        sr.Linear(target="y", features=("age", "income"), missing=missing).fit(PEOPLE)


def test_more_that_cannot_be() -> None:
    with pytest.raises(sr.UsageError, match="'zone' holds no numbers"):
        sr.Linear(formula="y ~ zone", missing={"zone": "mean"}).fit(PEOPLE)
    with pytest.raises(sr.DataError, match="column 'zone': a missing value"):
        sr.Linear(formula="y ~ zone + age", missing="mean").fit(PEOPLE)
    with pytest.raises(sr.DataError, match="'age' has no value in any row"):
        sr.Linear(target="y", features=("age",), missing="mean", errors="HC0").fit(PEOPLE.assign(age=np.nan))
    with pytest.raises(sr.UsageError, match="scan with missing='indicator'"):
        sr.Linear(missing="mean").fit(sr.scan(PEOPLE[["z", "y"]], target="y"))
    batches = iter([(np.full((5, 1), np.nan), np.ones(5))])
    with pytest.raises(OnePassError, match="can be read only once"):
        sr.Linear(missing="mean").fit(batches)
    big = {"k": np.array([2**60, np.iinfo(np.int64).min, 3]), "y": np.arange(3.0)}
    with pytest.raises(sr.DataError, match="beyond 2\\^53"):
        sr.Linear(target="y", missing="mean").fit(big)


def test_far_from_zero_and_once_only() -> None:
    """What stands for missing values must be near the others, or digits are lost."""
    x = np.random.default_rng(1).normal(size=(3000, 1)) + 1e9
    y = x[:, 0] - 1e9 + np.random.default_rng(2).normal(size=3000)
    x[::3] = np.nan
    near = sr.Linear(missing="mean").fit((x, y))
    moved = sr.Linear(missing="mean").fit((x - 1e9, y))
    np.testing.assert_allclose(near.coef, moved.coef, rtol=1e-9)
    moments = sr.scan(iter([(x[:1000], y[:1000]), (x[1000:], y[1000:])]), missing="indicator")
    with pytest.raises(sr.DataError, match="costs digits"):
        sr.Linear(missing="mean").fit(moments)


def test_the_command_line_and_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.parquet"
    PEOPLE.to_parquet(path)
    assert pq.read_metadata(path).num_rows == N
    expected = sr.Linear(target="y", features=("age", "income"), missing={"age": "mean", "*": "drop"}).fit(path)
    arguments = [str(path), "--target", "y", "--features", "age,income", "--missing", "age=mean,*=drop"]
    assert main(["fit", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["coef"] == expected.to_dict()["coef"]
    assert found["provenance"]["sources"][0]["missing_in"] == {"income": int(PEOPLE.income.isna().sum())}
    scanned = [str(path), "--target", "y", "--features", "age,z", "-o", str(tmp_path / "a.moments")]
    assert main(["scan", *scanned, "--missing", "indicator"]) == 0
    assert main(["fit", str(tmp_path / "a.moments"), "--target", "y", "--missing", "mean", "--json"]) == 0
    capsys.readouterr()
    assert main(["fit", *arguments[:-1], "age=men"]) == 2
    assert "'men'" in capsys.readouterr().err
    (tmp_path / "job.yaml").write_text(
        "data: {path: a.parquet, target: y}\n"
        "fits:\n  line: {kind: linear, features: [age, income], missing: {age: mean, '*': drop}}\n"
        "  all: {kind: linear, features: [age, income], missing: indicator}\n"
    )
    fits = sr.run_job(tmp_path / "job.yaml").fits
    np.testing.assert_array_equal(fits["line"].coef, expected.coef)
    assert fits["all"].names == ("age", "income", "age[missing]", "income[missing]")


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize("missing", ["mean", "indicator"])
def test_networks_fill_what_they_predict(missing: Any) -> None:
    from streamreg.results.predict import predictions

    source = sr.open(PEOPLE, target="y", features=("age", "z"), where="income is missing or income > 20")
    found = sr.Keras(missing=missing, hidden=(4,), epochs=1).fit(source)
    expected = sr.Linear(missing=missing).fit(source)
    assert found.names == expected.names
    assert found.n == expected.n
    assert found.encoder["fills"]["age"][0] == pytest.approx(expected.encoder["fills"]["age"][0], rel=1e-14)
    streamed = np.concatenate([values for _, values in predictions(found, sr.open(PEOPLE))])
    assert np.isfinite(streamed).all()
    np.testing.assert_array_equal(found.predict(PEOPLE), streamed)
    assert found.spec["missing"] == missing
