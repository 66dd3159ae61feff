"""Fitted values as a stream: the same numbers as in memory, beside their rows, in files written whole."""

import h5py
import numpy as np
import pytest
import zarr

import streamreg as sr
from streamreg.errors import NonFiniteError, NotFound, UsageError
from streamreg.results.predict import predict_to

RNG = np.random.default_rng(1)
X = RNG.standard_normal((5000, 7)) + 10
Y = X @ RNG.standard_normal(7) + RNG.standard_normal(5000)
FIT = sr.Linear().fit((X, Y))


def read(path):
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return file["prediction"][:]
    if path.suffix == ".zarr":
        return zarr.open_group(path, mode="r")["prediction"][:]
    return np.load(path)


@pytest.mark.parametrize("suffix", [".h5", ".zarr", ".npy"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_stream_of_predictions_equals_those_in_memory(tmp_path, suffix, threads):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=(700, 7))
    source = sr.open(tmp_path / "x.h5")
    out = tmp_path / f"p{suffix}"
    assert predict_to(out, FIT, source, threads=threads).rows == len(X)
    np.testing.assert_allclose(read(out), FIT.predict(X), rtol=1e-13)
    np.testing.assert_allclose(FIT.predict(source), FIT.predict(X), rtol=1e-13)
    with pytest.raises(UsageError, match="is there already"):
        predict_to(out, FIT, source)
    predict_to(out, FIT, source, force=True)


def test_columns_are_found_by_name(tmp_path):
    order = [3, 6, 0, 1, 2, 5, 4]
    source = sr.open(X[:, order], columns=[f"x{k}" for k in order])
    np.testing.assert_allclose(FIT.predict(source), FIT.predict(X), rtol=1e-13)
    with pytest.raises(NotFound, match="no column 'x6'"):
        FIT.predict(sr.open(X[:, :6]))


def test_missing_values(tmp_path):
    x = X.copy()
    x[77, 3] = np.nan
    with pytest.raises(NonFiniteError, match=r"row 77 .*'x3'"):
        predict_to(tmp_path / "p.npy", FIT, sr.open(x), missing="error")
    assert not list(tmp_path.iterdir())
    assert predict_to(tmp_path / "p.npy", FIT, sr.open(x)).missing == 1
    found = np.load(tmp_path / "p.npy")
    assert np.isnan(found[77])
    np.testing.assert_allclose(np.delete(found, 77), np.delete(FIT.predict(X), 77), rtol=1e-13)


def test_powers_are_expanded_again():
    x = RNG.uniform(0, 3, (200, 1))
    y = 1 + 2 * x[:, 0] - 0.5 * x[:, 0] ** 3
    fit = sr.Linear(powers={"x0": 3}).fit((x, y))
    assert fit.names == ("x0", "x0^2", "x0^3")
    assert fit.columns == ("x0",)
    np.testing.assert_allclose(fit.coef, [2, 0, -0.5], atol=1e-10)
    np.testing.assert_allclose(fit.predict(x), y, rtol=1e-10)
    np.testing.assert_allclose(fit.predict(sr.open(x)), y, rtol=1e-10)
    with pytest.raises(UsageError, match="powers of 'x9'"):
        sr.Linear(powers={"x9": 3}).fit((x, y))
