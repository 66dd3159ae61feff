"""streamreg scan, merge, and fit from moments."""

import json

import h5py
import numpy as np
import pytest

import streamreg as sr
from streamreg.cli import main


@pytest.fixture
def cli(capsys):
    def call(*arguments, code=0):
        capsys.readouterr()
        got = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert got == code, err
        return err if code else out

    return call


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.standard_normal((1000, 3)), rng.integers(0, 4, 1000)])
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file.create_dataset("X", data=x[:800], maxshape=(None, 4))
        file.create_dataset("y", data=x[:800] @ [1.0, 2.0, 3.0, 4.0], maxshape=(None,))
    return tmp_path / "t.h5"


def test_scan_then_fit(cli, data, tmp_path):
    out = tmp_path / "t.moments"
    text = cli("scan", data, "-o", out, "--target", "y", "--folds", 5)
    assert "800 rows, 5 columns, 5 groups (folds 5 0), target y" in text
    fit = json.loads(cli("fit", out, "--features", "x0,x1", "--json"))
    source = sr.open(data, target="y", features=("x0", "x1"))
    np.testing.assert_allclose(fit["coef"], sr.Linear().fit(source).coef, rtol=1e-10)
    assert json.loads(cli("fit", out, "--target", "x2", "--json"))["target"] == "x2"


def test_append(cli, data, tmp_path):
    out = tmp_path / "t.moments"
    cli("scan", data, "-o", out, "--target", "y", "--by", "x3")
    with h5py.File(data, "a") as file:
        for name in ("X", "y"):
            file[name].resize(900, axis=0)
            file[name][800:] = file[name][:100]
    text = cli("scan", data, "-o", out, "--append", "--json")
    found = json.loads(text)
    assert (found["n"], found["groups"], found["parts"][0]["rows"]) == (900, 4, 900)


def test_merge(cli, data, tmp_path):
    cli("scan", data, "-o", tmp_path / "a.moments", "--target", "y")
    sr.scan((np.ones((9, 4)), np.zeros(9))).save(tmp_path / "b.moments")
    text = cli("merge", tmp_path / "a.moments", tmp_path / "b.moments", "-o", tmp_path / "c.moments")
    assert "809 rows, 5 columns, target y" in text
    assert "would count twice" in cli("merge", *[tmp_path / "a.moments"] * 2, "-o", tmp_path / "d.moments", code=3)


def test_what_is_there_is_not_replaced_unless_forced(cli, data, tmp_path):
    moments, fit = tmp_path / "a.moments", tmp_path / "a.npz"
    scan = ("scan", data, "-o", moments, "--target", "y")
    for command in (scan, ("merge", moments, "-o", tmp_path / "b.moments"), ("fit", moments, "--save", fit)):
        cli(*command)
        assert "is there already; pass --force to replace it" in cli(*command, code=2)
        cli(*command, "--force")
    cli(*scan, "--append")


def test_a_fit_for_each_level(cli, data, tmp_path):
    found = json.loads(cli("fit", data, "--target", "y", "--by", "x3", "--json"))
    assert sorted(found["fits"]) == ["0", "1", "2", "3"]
    cli("scan", data, "-o", tmp_path / "t.moments", "--target", "y", "--by", "x3")
    assert "Chow test: F" in cli("fit", tmp_path / "t.moments", "--by", "x3")
    assert "decided by the scan" in cli("fit", tmp_path / "t.moments", "--missing", "drop", code=2)
    assert "--save keeps one fit" in cli("fit", data, "--target", "y", "--by", "x3", "--save", "f.npz", code=2)


@pytest.mark.parametrize(
    ("text", "errors"),
    [("HC3", "HC3"), ("cluster:x3", {"cluster": ("x3",)}), ("newey_west:4", {"newey_west": 4})],
)
def test_errors(cli, data, text, errors):
    fit = json.loads(cli("fit", data, "--target", "y", "--features", "x0,x1", "--errors", text, "--json"))
    source = sr.open(data, target="y")
    expected = sr.Linear(features=("x0", "x1"), errors=errors).fit(source)
    assert fit["std_errors"] == expected.std_errors.tolist()
    assert fit["errors"] == expected.errors


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["scan", "t.h5", "-o", "t.npz"], 2, "ends in .moments"),
        (["scan", "t.h5", "-o", "t.moments", "--folds", "1"], 2, "two or more"),
        (["scan", "t.h5", "-o", "t.moments", "--folds", "-3"], 2, "--folds is -3; it takes two or more"),
        (["scan", "t.h5", "-o", "t.moments", "--precision", "much"], 2, "float64' or 'exact'"),
        (["scan", "t.h5", "-o", "t.moments", "--missing", "keep"], 2, "'error', 'drop'"),
        (["scan", "t.h5", "-o", "t.moments", "--power", "x0=b"], 2, "the degree is a whole number"),
        (["scan", "t.h5", "-o", "t.moments", "--by", "x9"], 3, "no column 'x9'"),
        (["fit", "none.moments"], 3, "no such file"),
        (["fit", "t.h5", "--target", "y", "--errors", "HC9"], 2, "--errors 'HC9': write classical, HC0"),
        (["fit", "t.h5", "--target", "y", "--errors", "newey_west:two"], 2, "'newey_west:two': write classical"),
        (["scan", "t.h5", "-o", "none.moments", "--append"], 3, "no such file"),
    ],
)
def test_mistakes(cli, data, monkeypatch, arguments, code, words):
    monkeypatch.chdir(data.parent)
    assert words in cli(*arguments, code=code)
