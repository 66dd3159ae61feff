"""Coefficients of other programs: read, used and compared."""

import json

import numpy as np
import pytest

import streamreg as sr
from streamreg.errors import CorruptError, DataError, NotFound, UsageError

RNG = np.random.default_rng(4)
X = RNG.standard_normal((500, 3))
Y = X @ [1.0, -2.0, 3.0] + 0.5 + RNG.standard_normal(500)
FIT = sr.Linear().fit((X, Y))
SLOPES = dict(zip(FIT.names, FIT.coef.tolist(), strict=True))


def csv_lines(header="name,coef", intercept="(intercept)"):
    return "\n".join([header, f"{intercept},{FIT.intercept!r}", *(f"{n},{v!r}" for n, v in SLOPES.items())]) + "\n"


@pytest.mark.parametrize("header", ["name,coef", "Name,Estimate", ",coefficient"])
@pytest.mark.parametrize("intercept", ["(intercept)", "(Intercept)", "const"])
def test_csv(tmp_path, header, intercept):
    path = tmp_path / "theirs.csv"
    path.write_text(csv_lines(header, intercept))
    found = sr.coefficients(path, target="y")
    assert found.names == FIT.names
    assert found.has_intercept
    assert sr.compare(FIT, found).verdict == "agree"
    np.testing.assert_allclose(found.predict(X), FIT.predict(X), rtol=1e-10)


@pytest.mark.parametrize(
    "layout",
    [
        {"intercept": FIT.intercept, "coef": SLOPES},
        {"intercept": FIT.intercept, **SLOPES},
        {"names": list(SLOPES), "coef": list(SLOPES.values()), "intercept": FIT.intercept},
        {"coef": {"const": FIT.intercept, **SLOPES}},
        FIT.to_dict(),
    ],
)
def test_json_and_mappings(tmp_path, layout):
    (tmp_path / "theirs.json").write_text(json.dumps(layout))
    for found in (sr.coefficients(layout), sr.coefficients(tmp_path / "theirs.json")):
        assert sr.compare(FIT, found).verdict == "agree"
        assert found.save(tmp_path / "x.npz") is None
        assert sr.FitResult.load(tmp_path / "x.npz").coef.tolist() == found.coef.tolist()
        assert "imported" in found.summary()


def test_permuted_names_and_no_intercept():
    without = sr.Linear(intercept=False).fit((X, Y))
    backwards = dict(reversed(list(zip(without.names, without.coef.tolist(), strict=True))))
    found = sr.coefficients(backwards, target="y")
    assert not found.has_intercept
    assert sr.compare(without, found).verdict == "agree"
    assert not sr.coefficients(without.to_dict()).has_intercept


@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_the_truth_of_generated_rows(tmp_path, kind):
    path = tmp_path / "rows.npy"
    sr.generate(path, rows=20_000, columns=4, kind=kind, seed=3)
    truth = sr.coefficients(f"{path}.json")
    assert truth.family == ("binomial" if kind == "logistic" else "gaussian")
    assert truth.target == "y"
    source = sr.open(path, target="y")
    fit = (sr.Logistic() if kind == "logistic" else sr.Linear()).fit(source)
    assert sr.compare(fit, truth, source, tolerance=5)
    assert not sr.compare(fit, truth, source)


@pytest.mark.parametrize(
    ("name", "text", "error", "words"),
    [
        ("a.csv", "x0,1.0\n", UsageError, "line 1: the columns must be name and coef"),
        ("a.csv", "", UsageError, "found nothing"),
        ("a.csv", "name,coef\nx0,one\n", DataError, "line 2: 'x0' is 'one'"),
        ("a.csv", "name,coef\nx0,nan\n", DataError, "line 2: 'x0' is 'nan'"),
        ("a.csv", "name,coef\nx0\n", DataError, "line 2: 1 cells"),
        ("a.csv", "name,coef\nx0,1\n\nx0,1\n", DataError, "line 4: 'x0' stands twice"),
        ("a.json", "{", CorruptError, "cannot be read"),
        ("a.json", "[1]", UsageError, "are written as"),
        ("a.json", '{"coef": {"x0": true}}', DataError, "'x0' is True"),
        ("a.json", '{"coef": [1, 2], "names": ["a"]}', DataError, "2 coefficients for 1 names"),
        ("a.txt", "", UsageError, "coefficients from a .csv or .json"),
    ],
)
def test_mistakes(tmp_path, name, text, error, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=words):
        sr.coefficients(tmp_path / name)


def test_more_mistakes(tmp_path):
    with pytest.raises(NotFound):
        sr.coefficients(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="no family 'logit'"):
        sr.coefficients({"x0": 1.0}, family="logit")
    with pytest.raises(UsageError, match="families"):
        sr.compare(FIT, sr.coefficients(SLOPES, family="binomial"))


def test_the_command_line_compares_files_of_all_kinds(tmp_path, capsys):
    from streamreg.cli import main

    np.save(tmp_path / "rows.npy", np.column_stack([X, Y]))
    fit = sr.Linear(target="x3").fit(sr.open(tmp_path / "rows.npy", target="x3"))
    fit.save(tmp_path / "mine.npz")
    slopes = dict(zip(fit.names, fit.coef.tolist(), strict=True))
    (tmp_path / "theirs.csv").write_text(csv_lines())
    (tmp_path / "theirs.json").write_text(json.dumps({"intercept": fit.intercept, "coef": slopes}))
    (tmp_path / "worse.json").write_text(json.dumps({"intercept": fit.intercept, "coef": slopes | {"x1": 0.0}}))
    npz, csv, good, bad, rows = (
        str(tmp_path / n) for n in ("mine.npz", "theirs.csv", "theirs.json", "worse.json", "rows.npy")
    )
    assert main(["compare", npz, csv]) == 0
    assert "Verdict: agree" in capsys.readouterr().out
    assert main(["compare", good, npz, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["theirs", "mine"]
    assert main(["compare", npz, bad]) == 1
    assert "all of it in x1" in capsys.readouterr().out
    assert main(["compare", csv, good]) == 2
    assert "give the data" in capsys.readouterr().err
    assert main(["compare", csv, good, "--data", rows, "--target", "x3"]) == 0
    assert main(["compare", csv, bad, "--data", rows, "--target", "x3"]) == 1
    assert main(["compare", npz, str(tmp_path / "none.csv")]) == 3
    assert main(["compare", npz, rows]) == 2


def test_the_command_line_gives_coefficients_the_family_of_the_fit(tmp_path):
    from streamreg.cli import main

    label = (RNG.random(500) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)
    fit = sr.Logistic().fit((X, label))
    fit.save(tmp_path / "mine.npz")
    slopes = dict(zip(fit.names, fit.coef.tolist(), strict=True))
    (tmp_path / "theirs.json").write_text(json.dumps({"intercept": fit.intercept, "coef": slopes}))
    assert main(["compare", str(tmp_path / "mine.npz"), str(tmp_path / "theirs.json")]) == 0


def test_the_command_line_scores(tmp_path, capsys):
    from streamreg.cli import main

    np.save(tmp_path / "rows.npy", np.column_stack([X, Y]))
    sr.Linear(features=("x0",)).fit(sr.open(tmp_path / "rows.npy", target="x3")).save(tmp_path / "small.npz")
    sr.Linear().fit(sr.open(tmp_path / "rows.npy", target="x3")).save(tmp_path / "whole.npz")
    paths = [str(tmp_path / name) for name in ("rows.npy", "small.npz", "whole.npz")]
    assert main(["score", *paths]) == 0
    assert "points more than small: worth it" in " ".join(capsys.readouterr().out.split())
    assert main(["score", *paths, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == "small"
    assert main(["score", *paths, "--validation"]) == 2
    assert "no model held out rows" in capsys.readouterr().err
