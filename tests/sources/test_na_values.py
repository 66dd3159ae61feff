"""Values that stand for missing ones, of one meaning in every storage."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

import streamreg as sr
from streamreg.errors import NotFound, UsageError
from streamreg.sources import Source

N = 2000


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    d = pd.DataFrame({"age": rng.integers(20, 60, N), "fare": np.round(rng.normal(10, 2, N), 1)})
    d["zone"] = rng.choice(["a", "b", "unknown"], N)
    d["y"] = d.age / 10 + d.fare + rng.normal(size=N)
    d.loc[::7, "age"] = -999
    d.loc[::11, "fare"] = -999.0
    return d


TABLE = table()
WITHOUT = TABLE.assign(
    age=TABLE.age.where(TABLE.age != -999),
    fare=TABLE.fare.where(TABLE.fare != -999),
    zone=TABLE.zone.where(TABLE.zone != "unknown"),
)


def opened(kind: str, folder: Path, **options: Any) -> Source:
    """Return the numbers of the table, and its text where the storage has any."""
    if kind == "frame":
        return sr.open(TABLE, **options)
    if kind in ("parquet", "csv"):
        path = folder / f"a.{kind}"
        TABLE.to_parquet(path, row_group_size=300) if kind == "parquet" else TABLE.to_csv(path, index=False)
        return sr.open(path, **options)
    numbers = TABLE[["age", "fare", "y"]].to_numpy(dtype=float)
    if kind == "array":
        return sr.open(numbers, columns=["age", "fare", "y"], **options)
    with h5py.File(folder / "a.h5", "w") as file:
        file["X"] = numbers
        file["X"].attrs["columns"] = ["age", "fare", "y"]
    return sr.open(folder / "a.h5", **options)


@pytest.mark.parametrize("kind", ["frame", "parquet", "csv", "array", "hdf5"])
def test_marks_are_missing_values(kind: str, tmp_path: Path) -> None:
    model = sr.Linear(target="y", features=("age", "fare"), missing="drop")
    expected = model.fit(WITHOUT[["age", "fare", "y"]])
    for marks in ([-999, "unknown"], {"age": -999, "fare": [-999]}):
        source = opened(kind, tmp_path, na_values=marks)
        fit = model.fit(source)
        np.testing.assert_array_equal(fit.coef, expected.coef)
        assert fit.n_missing == expected.n_missing
        assert fit.provenance["sources"][0]["missing_in"] == expected.provenance["sources"][0]["missing_in"]
    young = opened(kind, tmp_path, na_values=[-999], where="age < 30")
    assert model.fit(young).n == ((WITHOUT.age < 30) & WITHOUT.fare.notna()).sum()


def test_text_and_dates() -> None:
    fit = sr.Linear(formula="y ~ fare + zone", missing="drop").fit(sr.open(TABLE, na_values=[-999, "unknown"]))
    expected = sr.Linear(formula="y ~ fare + zone", missing="drop").fit(WITHOUT)
    assert fit.names == expected.names == ("fare", "zone[T.b]")
    np.testing.assert_array_equal(fit.coef, expected.coef)
    dates = pd.DataFrame({"day": pd.to_datetime(["2020-01-01", "1900-01-01", "2020-01-03"]), "y": [1.0, 2.0, 3.0]})
    found = sr.profile(sr.open(dates, na_values={"day": "1900-01-01"}))
    assert found["day"].missing == 1
    assert found["day"].low == "2020-01-01T00:00:00"


def test_fits_and_moments_remember_them(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    TABLE.iloc[:1500].to_parquet(path)
    model = sr.Linear(target="y", features=("age", "fare"), missing="mean")
    fit = model.fit(sr.open(path, na_values=-999))
    expected = model.fit(WITHOUT.iloc[:1500])
    np.testing.assert_array_equal(fit.coef, expected.coef)
    np.testing.assert_allclose(fit.predict(sr.open(path)), expected.predict(WITHOUT.iloc[:1500]), rtol=1e-12)
    state = sr.scan(sr.open(path, na_values=-999), ("age", "fare"), "drop", target="y")
    TABLE.to_parquet(path)
    grown = sr.append(state, path)
    assert grown.n == WITHOUT[["age", "fare"]].notna().all(axis=1).sum()


def test_seals_are_of_what_is_stored(tmp_path: Path) -> None:
    from streamreg.engines.serial import Serial
    from streamreg.scans import seal

    path = tmp_path / "a.parquet"
    TABLE.to_parquet(path)
    seal.write(sr.open(path), seal.read(sr.open(path), Serial()))
    source = sr.open(path, na_values=-999, where="age < 50")
    assert seal.verify(source, Serial()).proven == N
    seal.write(source, seal.read(source, Serial()))
    fits = [sr.Linear(target="y", features=("age", "fare"), missing=word).fit(source) for word in ("drop", "mean")]
    fits.append(sr.Linear(formula="y ~ log(fare + 20) + zone", missing="drop").fit(source))
    assert all(fit.n > 500 for fit in fits)
    TABLE.assign(fare=TABLE.fare.where(TABLE.index != 5, 1.25)).to_parquet(path)
    for missing in ("drop", "mean"):
        with pytest.raises(sr.DataError, match="are not those of its seal"):
            sr.Linear(target="y", features=("age", "fare"), missing=missing).fit(sr.open(path, na_values=-999))


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(UsageError, match="'zone' cannot have the value 3"):
        sr.open(TABLE, na_values={"zone": 3})
    with pytest.raises(UsageError, match="'age' cannot have the value 'x'"):
        sr.open(TABLE, na_values={"age": "x"})
    with pytest.raises(NotFound, match="did you mean 'age'"):
        sr.open(TABLE, na_values={"aeg": -1})
