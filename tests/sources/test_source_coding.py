"""Attributes that change what stored numbers mean: packed values, missing ones, matrices stored by columns."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse
import zarr

import streamreg as sr
from streamreg.design.design import Design
from streamreg.errors import DataError, UsageError
from streamreg.sources.chunk import Chunk
from streamreg.tools.inspect import inspect

FORMATS = ("hdf5", "hdf5-chunked", "zarr2", "zarr3")
RNG = np.random.default_rng(7)


def stored(
    folder: Path, kind: str, x: np.ndarray, y: np.ndarray, marks: dict[str, dict[str, Any]], **more: Any
) -> Path:
    """Write X and y with attributes; `more` are options of X."""
    if kind.startswith("hdf5"):
        path = folder / "a.h5"
        with h5py.File(path, "w") as file:
            for name, values in (("X", x), ("y", y)):
                chunks = (16, *values.shape[1:]) if kind != "hdf5" else None
                file.create_dataset(name, data=values, chunks=chunks, **(more if name == "X" else {}))
                file[name].attrs.update(marks.get(name, {}))
        return path
    path = folder / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=int(kind[-1]))  # type: ignore[arg-type]
    for name, values in (("X", x), ("y", y)):
        options = more if name == "X" else {}
        array = group.create_array(
            name, data=values, chunks=(16, *values.shape[1:]), config={"write_empty_chunks": True}, **options
        )
        array.attrs.update(marks.get(name, {}))
    return path


def read(source: Any) -> tuple[np.ndarray, np.ndarray]:
    chunks = [(c.matrix.copy(), c.vectors["y"].copy()) for p in source.partitions() for c in p.chunks(32)]
    x, y = zip(*chunks, strict=True)
    return np.concatenate(x), np.concatenate(y)


@pytest.mark.parametrize("kind", FORMATS)
def test_packed_features_and_target(kind: str, tmp_path: Path) -> None:
    x = RNG.integers(-100, 100, (50, 2)).astype("i2")
    y = RNG.integers(0, 200, 50).astype("u1")
    x[5, 1], y[9] = -32767, 255
    packed = {"scale_factor": 0.25, "add_offset": 10.0}
    marks = {"X": {**packed, "_FillValue": -32767}, "y": {"scale_factor": 0.5, "missing_value": 255}}
    path = stored(tmp_path, kind, x, y, marks)
    values, target = read(sr.open(path, target="y"))
    assert np.array_equal(values, np.where(x == -32767, np.nan, x * 0.25 + 10), equal_nan=True)
    assert np.array_equal(target, np.where(y == 255, np.nan, y * 0.5), equal_nan=True)
    with pytest.raises(DataError, match=r"row 5 .*'x1'"):
        sr.Linear().fit(sr.open(path, target="y"))
    assert sr.Linear(missing="drop").fit(sr.open(path, target="y")).n == 48
    assert "X: _FillValue = -32767, scale_factor = 0.25" in str(inspect(path))


@pytest.mark.parametrize("kind", FORMATS)
def test_signs_ranges_and_several_missing_values(kind: str, tmp_path: Path) -> None:
    x = np.arange(-25, 25, dtype="i1")[:, None]
    marks = {"_Unsigned": "true", "_FillValue": 255, "valid_max": 250}
    values, _ = read(sr.open(stored(tmp_path, kind, x, np.ones(50), {"X": marks}), target="y"))
    bits = x.view("u1").astype(float)
    assert np.array_equal(values, np.where(bits > 250, np.nan, bits), equal_nan=True)
    marks = {"missing_value": [3, 4], "valid_range": [-20, 20]}
    values, _ = read(sr.open(stored(tmp_path, kind, x, np.ones(50), {"X": marks}), target="y"))
    gone = (x == 3) | (x == 4) | (abs(x) > 20)
    assert np.array_equal(values, np.where(gone, np.nan, x), equal_nan=True)


@pytest.mark.parametrize("kind", FORMATS)
def test_large_integers_keep_their_digits(kind: str, tmp_path: Path) -> None:
    x = 2**60 + np.arange(50)[:, None]
    x[3] = 2**61 + 1
    values, _ = read(sr.open(stored(tmp_path, kind, x, np.ones(50), {"X": {"_FillValue": 2**61 + 1}}), target="y"))
    assert values.dtype == np.int64
    assert values[3] == -(2**63)
    assert np.array_equal(np.delete(values, 3), np.delete(x, 3))
    path = stored(tmp_path, kind, x, np.ones(50), {"X": {"scale_factor": 2.0}})
    with pytest.raises(DataError, match=r"row 0 .*2\^53"):
        read(sr.open(path, target="y"))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("fill", [-9999.0, 9.969209968386869e36])
def test_rows_never_written(kind: str, fill: float, tmp_path: Path) -> None:
    x = RNG.normal(size=(50, 2)).astype("f4")
    x[40:] = np.float32(fill)
    more = {"fillvalue" if kind.startswith("hdf5") else "fill_value": np.float32(fill)}
    path = stored(tmp_path, kind, x, np.ones(50), {}, **more)
    values, _ = read(sr.open(path, target="y"))
    assert values.dtype == np.float32
    assert np.isnan(values[40:]).all()
    assert np.array_equal(values[:40], x[:40])
    values, _ = read(sr.open(path, target="y", missing_chunks="fill"))
    assert np.array_equal(values, x)


def test_missing_integers_of_r(tmp_path: Path) -> None:
    x = np.arange(50, dtype="i4")[:, None]
    x[7] = -(2**31)
    values, _ = read(sr.open(stored(tmp_path, "hdf5", x, np.ones(50), {"X": {"rhdf5-NA.OK": 1}}), target="y"))
    assert np.flatnonzero(np.isnan(values)).tolist() == [7]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["scale_factor", "add_offset", "missing_value", "valid_range", "_Unsigned"])
def test_attributes_that_say_nothing_of_use(kind: str, name: str, tmp_path: Path) -> None:
    path = stored(tmp_path, kind, np.ones((50, 2), "i2"), np.ones(50), {"X": {name: "many"}})
    with pytest.raises(DataError, match=name):
        sr.open(path, target="y")


def test_matrices_of_matlab(tmp_path: Path) -> None:
    marks = {"X": {"MATLAB_class": np.bytes_("double")}}
    with pytest.raises(DataError, match=r"MATLAB_class.*transposed"):
        sr.open(stored(tmp_path, "hdf5", np.eye(50), np.ones(50), marks), target="y")


def test_sparse_matrices(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("data", "indices", "indptr"):
            file[f"X/{name}"] = np.ones(4)
    for x in ("X", None):
        with pytest.raises(DataError, match="'X' is a sparse matrix"):
            sr.open(tmp_path / "a.h5", x=x)
    with pytest.raises(UsageError, match="sparse"):
        sr.open((scipy.sparse.eye(4, format="csr"), np.ones(4)))


@pytest.mark.parametrize("where", ["feature", "target", "key"])
def test_dates_that_are_none(where: str) -> None:
    x = np.arange(100).reshape(50, 2)
    y = np.arange(50) ** 2
    x[17, 0 if where != "target" else 1] = -(2**63) if where != "target" else 5
    y[17] = -(2**63) if where == "target" else y[17]
    source = sr.open((x, y))
    column = "y" if where == "target" else "x0"
    keys = ("x0",) if where == "key" else ()
    features = ("x1",) if where == "key" else ("x0",)
    chunk = next(source.partitions()[0].chunks(64))
    with pytest.raises(DataError, match=rf"row 17 .*'{column}'.*NaT"):
        Design.of(source, features, keys=keys).batch(chunk)
    assert len(Design.of(source, features, "drop", keys=keys).batch(chunk).x) == 49


def test_a_date_beside_floats() -> None:
    chunk = Chunk(0, np.array([[1.0], [2.0]]), ("x0",), {"t": np.array([5, -(2**63)])})
    batch = Design("rows", ("x0", "t"), None, None, "drop").batch(chunk)
    assert batch.x.tolist() == [[1.0, 5.0]]
