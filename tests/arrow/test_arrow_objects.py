"""Frames, readers and queries: numbers, text, dates and what is missing, from whatever library holds them."""

import datetime
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.dataset import dataset

import streamreg as sr
from streamreg.errors import MissingExtra, NotFound, OnePassError

N = 3000
RNG = np.random.default_rng(11)
A, B = RNG.normal(size=N), RNG.integers(-50, 50, N)
TOWN = np.array(["oslo", "rome", "bern"], object)[RNG.integers(0, 3, N)]
DAY = np.datetime64("2024-01-01", "us") + RNG.integers(0, 3, N).astype("m8[D]")
Y = 2 * A - 0.1 * B + RNG.normal(size=N)
HOLES = pa.array(B, mask=np.arange(N) % 10 == 0)
TABLE = pa.table({"a": A, "b": B, "h": HOLES, "town": pa.array(TOWN), "day": DAY, "t": B > 0, "y": Y})


def parquet(folder: Path) -> Path:
    pq.write_table(TABLE, folder / "t.parquet", row_group_size=777)
    return folder / "t.parquet"


def database(folder: Path) -> str:
    with duckdb.connect(folder / "t.db") as connection:
        connection.register("held", TABLE)
        connection.execute("create or replace table trips as select * from held")
    return f"duckdb:{folder / 't.db'}"


SELECT = {"query": "select * from trips"}
MAKERS: dict[str, Callable[[Path], tuple[Any, dict[str, str]]]] = {
    "parquet": lambda folder: (parquet(folder), {}),
    "pandas": lambda folder: (TABLE.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get), {}),
    "pandas of Arrow": lambda folder: (TABLE.to_pandas(types_mapper=pd.ArrowDtype), {}),
    "polars": lambda folder: (pl.DataFrame(TABLE), {}),
    "polars lazy": lambda folder: (pl.scan_parquet(parquet(folder)), {}),
    "pyarrow": lambda folder: (TABLE, {}),
    "data set": lambda folder: (dataset(parquet(folder)), {}),
    "duckdb relation": lambda folder: (duckdb.from_arrow(TABLE), {}),
    "duckdb": lambda folder: (database(folder), SELECT),
    "dask": lambda folder: (
        dd.from_pandas(TABLE.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get), npartitions=4),
        {},
    ),
    "reader": lambda folder: (TABLE.to_reader(500), {}),
}


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    def make() -> Any:
        data, options = MAKERS[request.param](tmp_path)
        return sr.open(data, target="y", **options)

    return make


def test_the_same_bits_from_whatever_holds_the_rows(made: Callable[[], Any]) -> None:
    plain = sr.open((np.column_stack([A, B.astype("f8")]), Y), columns=["a", "b"])
    for threads in (1, 3):
        fits = [sr.Linear(features=("a", "b")).fit(d, threads=threads, progress=False) for d in (plain, made())]
        np.testing.assert_array_equal(fits[0].coef, fits[1].coef)
        np.testing.assert_array_equal(fits[0].std_errors, fits[1].std_errors)


def test_what_is_missing_in_integers_is_seen(made: Callable[[], Any]) -> None:
    assert sr.Linear(features=("a", "h"), missing="drop").fit(made(), progress=False).n == N - N // 10
    with pytest.raises(sr.DataError, match=r"row 0 .*column 'h'"):
        sr.Linear(features=("a", "h")).fit(made(), progress=False)


def test_text_dates_and_booleans_name_groups(made: Callable[[], Any]) -> None:
    towns = sr.fit_by(sr.Linear(features=("a", "b")), made(), by="town", progress=False)
    days = sr.fit_by(sr.Linear(features=("a",)), made(), by="day", progress=False)
    assert len(days) == 3
    assert sum(fit.n for fit in days.values()) == N
    assert {town: fit.n for town, fit in towns.items()} == {t: (t == TOWN).sum() for t in ("bern", "oslo", "rome")}
    assert made().schema.dtype("t").kind in "bi"
    assert sr.Linear(features=("a", "t")).fit(made(), progress=False).n == N


def test_a_reader_is_read_once() -> None:
    data = sr.open(TABLE.to_reader(500), target="y")
    model = sr.Linear(features=("a",))
    model.fit(data, progress=False)
    with pytest.raises(OnePassError, match="after the first pass"):
        model.fit(data, progress=False)


def test_frames_of_large_integers_keep_their_digits() -> None:
    large = B.astype("i8") + 2**60
    fit = sr.Linear(precision="exact").fit(sr.open(pd.DataFrame({"a": A, "b": large, "y": Y}), target="y"))
    plain = sr.Linear(precision="exact").fit((np.column_stack([A, B]), Y))
    np.testing.assert_allclose(fit.coef[1:], plain.coef[1:], rtol=1e-12)


def test_frames_of_numbers_alone_are_not_copied() -> None:
    matrix = np.asfortranarray(RNG.normal(size=(50, 3)))
    for part in sr.open(pd.DataFrame(matrix, columns=list("aby"), copy=False), target="y").partitions():
        assert all(np.shares_memory(chunk.matrix, matrix) for chunk in part.chunks(10))


def test_frames_that_are_no_tables_are_refused() -> None:
    with pytest.raises(sr.DataError, match="no table of columns of one type"):
        sr.open(pd.DataFrame({"a": [1, "x"], "b": [1.0, 2.0]}))
    assert sr.open(pd.DataFrame({0: ["x"], 1: [1.0]})).schema.names == ("x0", "x1")
    assert sr.open(pd.DataFrame({0: ["x"], 1: [1.0]}), columns=["u", "v"]).schema.names == ("u", "v")


def test_rows_follow_the_order_of_a_query(tmp_path: Path) -> None:
    data = sr.open(database(tmp_path), query="select a, b from trips order by a desc")
    rows = [chunk.vectors["a"] for part in data.partitions(256) for chunk in part.chunks(256)]
    np.testing.assert_array_equal(np.concatenate(rows), np.sort(A)[::-1])


def test_only_one_select_is_run(tmp_path: Path) -> None:
    address = database(tmp_path)
    for query in (
        "drop table trips",
        "select 1; select 2",
        "copy trips to 'x.csv'",
        "create table u as select 1",
        "-- none",
    ):
        with pytest.raises(sr.UsageError, match="is not one SELECT"):
            sr.open(address, query=query)
    with pytest.raises(sr.DataError, match=r"the query fails.*none"):
        sr.open(address, query="select none from trips")
    with pytest.raises(sr.DataError, match="the query fails"):
        sr.open(address, query="selec")
    with pytest.raises(sr.UsageError, match="with query="):
        sr.open(address)
    with pytest.raises(sr.UsageError, match="leave it out"):
        sr.open(parquet(tmp_path), query="select 1")
    with pytest.raises(NotFound, match=r"u\.db: no such file"):
        sr.open(f"duckdb:{tmp_path}/u.db", query="select 1")
    with pytest.raises(sr.DataError, match="has no rows"):
        sr.open(address, query="select * from trips where a > 1e9")


def test_rows_that_a_query_makes_anew_are_counted(tmp_path: Path) -> None:
    data = sr.open("duckdb:", query="select random() as a, 1.0 as y from range(1000) where random() < 0.5", target="y")
    with pytest.raises(sr.DataError, match="were promised"):
        sr.Linear().fit(data, progress=False)


def test_an_extension_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    from streamreg.sources.arrow import sql

    with sqlite3.connect(tmp_path / "t.sqlite") as connection:
        connection.execute("create table trips (a real)")
    connection.close()

    def none(*_: Any) -> None:
        raise duckdb.Error("not there")

    class Without:
        execute = staticmethod(none)

    with pytest.raises(MissingExtra, match=r"duckdb.sql\('install sqlite'\)"):
        sql._attach(Without(), "sqlite", str(tmp_path / "t.sqlite"), duckdb.Error)


@pytest.mark.parametrize("absent", ["pyarrow", "duckdb"])
def test_what_is_not_installed_is_told(absent: str, tmp_path: Path) -> None:
    data = f"'{parquet(tmp_path)}'" if absent == "pyarrow" else "'duckdb:', query='select 1'"
    code = f"""
import sys
sys.modules[{absent!r}] = None
import streamreg as sr
try:
    sr.open({data})
except sr.UsageError as error:
    print(type(error).__name__, error)"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("MissingExtra")
    assert "pip install 'streamreg[tables]'" in out
    assert out.count("\n") == 1


def test_dates_of_days_come_as_they_are() -> None:
    table = pa.table({"d": pa.array([datetime.date(2024, 1, 2), None]), "y": [1.0, 2.0]})
    (part,) = sr.open(table).partitions()
    (chunk,) = part.chunks(10)
    np.testing.assert_array_equal(chunk.vectors["d"], np.array(["2024-01-02", "NaT"], "M8[D]"))


@pytest.mark.parametrize("kind", ["int8", "int32", "int64", "uint8", "uint32", "Int32", "Int64", "bool"])
@pytest.mark.parametrize("made", ["pandas", "polars", "arrow", "parquet", "csv", "mapping"])
def test_whole_numbers_beside_floats_name_levels_as_whole_numbers(kind: str, made: str, tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {"y": np.sqrt(np.arange(12.0)), "g": np.array([0, 1, 1] * 4).astype(bool if kind == "bool" else int)}
    )
    frame = rows.astype({"g": kind})
    frame.to_parquet(tmp_path / "rows.parquet")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    data = {
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "arrow": pa.Table.from_pandas(frame),
        "parquet": tmp_path / "rows.parquet",
        "csv": tmp_path / "rows.csv",
        "mapping": {name: frame[name].to_numpy(kind.lower() if name == "g" else None) for name in frame},
    }[made]
    fit = sr.Linear(formula="y ~ C(g)").fit(data)
    assert fit.names == ("C(g)[T.True]",) if kind == "bool" else ("C(g)[T.1]",)
    # Other sources hold the same levels as other types.
    expected = fit.predict(frame)
    for other in (rows.astype({"g": float}), rows.astype({"g": "int64"}), sr.open(tmp_path / "rows.csv")):
        assert (fit.predict(other) == expected).all()
