"""Files of made-up rows: the same numbers everywhere, the truth beside them, nothing left behind."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
import zarr

import streamreg as sr
from streamreg.errors import DataError, NotFound, UsageError
from streamreg.sources.synthetic import Recipe

ROWS, COLUMNS = 5000, 120  # 2,048 rows a block: three blocks, the last of them short


def read(path):
    """Return X and y as stored, by the storage's own library."""
    if path.suffix == ".npy":
        table = np.load(path)
        return table[:, :-1], table[:, -1]
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return file["X"][:], file["y"][:]
    group = zarr.open_group(path, mode="r")
    return group["X"][:], group["y"][:]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "plain.npy"
    sr.generate(path, rows=ROWS, columns=COLUMNS, seed=7)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.h5", {}),
        ("b.h5", {"chunk_rows": 7}),
        ("c.h5", {"chunk_rows": 999, "compression": "gzip"}),
        ("d.h5", {"compression": "lzf"}),
        ("e.h5", {"chunk_rows": 10**9}),
        ("f.zarr", {}),
        ("g.zarr", {"chunk_rows": 2500, "compression": "zstd"}),
        ("h.zarr", {"chunk_rows": 333, "compression": "gzip"}),
        ("i.npy", {}),
    ],
)
def test_same_numbers_in_every_format(plain, tmp_path, name, options):
    sr.generate(tmp_path / name, rows=ROWS, columns=COLUMNS, seed=7, **options)
    for got, expected in zip(read(tmp_path / name), read(plain), strict=True):
        np.testing.assert_array_equal(got, expected)
    fit, reference = (sr.Linear().fit(sr.open(path, target="y")) for path in (tmp_path / name, plain))
    assert fit.names == reference.names == tuple(f"x{i}" for i in range(COLUMNS))
    np.testing.assert_array_equal(fit.coef, reference.coef)
    assert fit.intercept == reference.intercept
    assert {f.name for f in tmp_path.iterdir()} == {name, f"{name}.json"}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_truth_is_recovered(tmp_path, dtype):
    path = tmp_path / "a.h5"
    truth = sr.generate(path, rows=20_000, columns=5, seed=3, noise=0.5, dtype=dtype)
    assert truth == json.loads((tmp_path / "a.h5.json").read_text())
    assert truth["columns"] == ["x0", "x1", "x2", "x3", "x4", "y"]
    fit = sr.Linear().fit(sr.open(path, target="y"))
    assert np.abs(fit.coef - truth["coef"]).max() < 5 * fit.std_errors.max()
    assert abs(fit.intercept - truth["intercept"]) < 5 * fit.intercept_std_error
    assert fit.sigma == pytest.approx(0.5, rel=0.05)
    with h5py.File(path) as file:
        assert file["X"].dtype == file["y"].dtype == dtype


def test_no_noise_gives_the_truth(tmp_path):
    truth = sr.generate(tmp_path / "a.npy", rows=300, columns=4, noise=0.0)
    fit = sr.Linear().fit(sr.open(tmp_path / "a.npy", target="y"))
    np.testing.assert_allclose(fit.coef, truth["coef"], rtol=1e-13)


def test_correlation_is_autoregressive():
    x, _ = Recipe(rows=100_000, columns=4, correlation=0.8).block(0)
    found = np.corrcoef(x, rowvar=False)
    expected = 0.8 ** np.abs(np.subtract.outer(range(4), range(4)))
    np.testing.assert_allclose(found, expected, atol=0.02)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=0.02)


def test_logistic_target_follows_its_probability(tmp_path):
    truth = sr.generate(tmp_path / "a.npy", rows=60_000, columns=3, kind="logistic", seed=2)
    x, y = read(tmp_path / "a.npy")
    assert set(np.unique(y)) == {0.0, 1.0}
    chance = 1 / (1 + np.exp(-(truth["intercept"] + x @ truth["coef"])))
    for low in (0.0, 0.25, 0.5, 0.75):
        within = (chance >= low) & (chance < low + 0.25)
        assert y[within].mean() == pytest.approx(chance[within].mean(), abs=0.02)


def test_any_block_can_be_made_alone_and_seeds_differ():
    recipe = Recipe(rows=10_000, columns=200, seed=1)
    last = recipe.blocks()[-1]
    again = Recipe(rows=10_000, columns=200, seed=1).block(last)
    for a, b in zip(recipe.block(last), again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(again[0]) == 10_000 - last * recipe.block_rows
    assert not np.array_equal(recipe.block(0)[0], recipe.block(1)[0])
    assert not np.array_equal(recipe.coef, Recipe(rows=1, columns=200, seed=2).coef)
    # A longer file begins with the rows of a shorter one.
    np.testing.assert_array_equal(Recipe(rows=10**9, columns=200, seed=1).block(last)[0][: len(again[0])], again[0])


def test_first_numbers_never_change():
    x, y = Recipe(rows=2, columns=2, seed=42).block(0)
    assert x.tolist() == [[0.3375714466967798, -0.7821534784435413], [-0.3160252007782352, -2.1012153395949684]]
    np.testing.assert_allclose(y, [0.832117658000942, 1.5429135058031769], rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.csv", {}, r"\.h5, \.zarr, \.npy"),
        ("a.npy", {"compression": "gzip"}, "'gzip' is not for this format; none is"),
        ("a.npy", {"chunk_rows": 5}, "has no chunks"),
        ("a.h5", {"compression": "zstd"}, "none, gzip or lzf"),
        ("a.h5", {"rows": 0}, "rows is 0; it should be greater than 0"),
        ("a.h5", {"correlation": 1.0}, "correlation is 1.0; it should be less than 1"),
        ("a.h5", {"kind": "logistic", "noise": 1.0}, "noise is for kind 'linear'"),
        ("a.h5", {"kind": "cubic"}, "kind is 'cubic'; it should be 'linear' or 'logistic'"),
    ],
)
def test_wrong_options(tmp_path, name, options, message):
    with pytest.raises(UsageError, match=message):
        sr.generate(tmp_path / name, **({"rows": 10, "columns": 2} | options))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.npy"])
def test_replaces_only_when_forced(tmp_path, name):
    path = tmp_path / name
    sr.generate(path, rows=10, columns=2, seed=1)
    before = read(path)[0]
    with pytest.raises(UsageError, match="force=True"):
        sr.generate(path, rows=10, columns=2, seed=2)
    np.testing.assert_array_equal(read(path)[0], before)
    sr.generate(path, rows=10, columns=2, seed=2, force=True)
    assert not np.array_equal(read(path)[0], before)
    assert {f.name for f in tmp_path.iterdir()} == {name, f"{name}.json"}


@pytest.mark.parametrize("name", ["a.zarr", "a.h5"])
def test_never_replaces_a_folder_of_something_else(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").touch()
    with pytest.raises(UsageError, match="another name"):
        sr.generate(tmp_path / name, rows=10, columns=2, force=True)
    assert (tmp_path / name / "thesis.txt").exists()


def test_no_folder(tmp_path):
    with pytest.raises(NotFound, match="make it first"):
        sr.generate(tmp_path / "nowhere" / "a.h5", rows=10, columns=2)


@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.npy"])
def test_disk_full_is_said_before_writing(tmp_path, name):
    with pytest.raises(DataError, match="are free"):
        sr.generate(tmp_path / name, rows=10**13, columns=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.h5", "b.h5", "a.zarr", "a.npy"])
def test_disk_full_leaves_nothing(tmp_path, name):
    """A limit on the size of files stands in for a full disk."""
    options = ", chunk_rows=100000" if name in ("b.h5", "a.zarr") else ""
    code = f"""
import resource, sys, streamreg as sr
from streamreg.errors import DataError
import h5py, zarr
resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))
try:
    sr.generate({str(tmp_path / name)!r}, rows=100000, columns=10{options})
except DataError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("cannot be written (File too large); nothing was left behind\n")
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())


def test_thousands_of_columns_keep_their_names(tmp_path):
    sr.generate(tmp_path / "a.h5", rows=3, columns=6000)
    assert sr.open(tmp_path / "a.h5", target="y").schema.names[5999:] == ("x5999", "y")
