"""A fit says which rows it was made of, and gives its table as a frame."""

import numpy as np
import pandas as pd
import pytest

import streamreg as sr

RNG = np.random.default_rng(2)


@pytest.fixture
def table(tmp_path):
    x = RNG.normal(size=(500, 3))
    x[3, 0] = np.nan
    weight = np.ones(500)
    weight[:10] = 0.0
    np.save(tmp_path / "a.npy", np.column_stack([x, (x[:, 1] > 0) * 1.0, weight]))
    return sr.open(tmp_path / "a.npy", columns=["a", "b", "c", "y", "w"], weights="w")


def test_rows_read_are_used_missing_or_left_out(table, tmp_path):
    fit = sr.Linear(target="y", missing="drop").fit(table)
    (part,) = fit.provenance["sources"]
    assert part["rows"] == part["used"] + part["missing"] + part["left_out"] == fit.n_read == 500
    assert (part["used"], part["missing"], part["left_out"]) == (fit.n, fit.n_missing, 10)
    assert part["fingerprint"] == table.fingerprint()
    assert part["version"] == sr.__version__
    fit.save(tmp_path / "fit.npz")
    assert sr.FitResult.load(tmp_path / "fit.npz").provenance == fit.provenance
    assert fit.to_dict()["provenance"] == fit.provenance


def test_newton_and_moments_say_it_too(table):
    glm = sr.Logistic(target="y", features=("a", "c"), missing="drop").fit(table)
    moments = sr.scan(table, target="y", missing="drop")
    for fit in (glm, sr.Linear().fit(moments)):
        assert fit.provenance["sources"][0]["used"] == fit.n


def test_the_table_is_a_frame(table):
    fit = sr.Linear(target="y", missing="drop").fit(table)
    frame = fit.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.term) == ["(intercept)", *fit.names]
    np.testing.assert_array_equal(frame.estimate, [fit.intercept, *fit.coef])
    np.testing.assert_array_equal(frame[["low", "high"]].to_numpy()[1:], fit.conf_int())
    assert len(sr.Linear(target="y", missing="drop", intercept=False).fit(table).to_frame()) == 3
