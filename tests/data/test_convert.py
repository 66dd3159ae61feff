"""A table in another format is the same table, or the column that the format cannot hold is named."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

import streamreg as sr
from streamreg.__main__ import main

ROWS = 5_000
RNG = np.random.default_rng(5)
NUMBERS = {
    "a": RNG.normal(size=ROWS),
    "b": np.where(RNG.uniform(size=ROWS) < 0.1, np.nan, RNG.normal(size=ROWS) * 1e-200),
    "y": RNG.normal(size=ROWS) * 1e8,
}
MIXED = {
    **NUMBERS,
    "id": RNG.integers(2**53, 2**60, ROWS),
    "name": np.array(["harbour", "air, port", 'the "old" town', ""])[RNG.integers(0, 3, ROWS)],
    "day": np.datetime64("2024-02-28", "D") + RNG.integers(0, 400, ROWS),
    "time": np.datetime64("2024-02-28T00:00", "us") + RNG.integers(0, 10**12, ROWS),
}
TABLES, MATRICES = ("parquet", "feather", "csv", "tsv"), ("h5", "zarr", "npy")


def columns(path):
    """Return the columns as they are read: text as objects, None where it is missing."""
    source = sr.open(path)
    chunks = [chunk for part in source.partitions() for chunk in part.chunks(1000)]
    found = {}
    for name in source.schema.names:
        parts = [chunk.column(name) for chunk in chunks]
        if hasattr(parts[0], "levels"):
            texts = [np.array([*p.levels, None], dtype=object)[p.codes] for p in parts]
            found[name] = np.concatenate(texts)
        else:
            found[name] = np.concatenate(parts)
    return found


def same(found, expected):
    assert list(found) == list(expected)
    for name, values in expected.items():
        if values.dtype.kind == "U":
            values = values.astype(object)
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(TABLES, TABLES)))
def test_tables_of_any_type_come_back_as_they_were(first, second, tmp_path):
    one, two = tmp_path / f"one.{first}", tmp_path / f"two.{second}"
    assert sr.convert(MIXED, one) == (str(one), ROWS, 7)
    same(columns(one), MIXED)
    sr.convert(one, two, threads=3)
    same(columns(two), MIXED)


PAIRS = [*zip(TABLES, (*MATRICES, "h5"), strict=True), *zip(MATRICES, TABLES[:3], strict=True)]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_numbers_come_back_from_matrices_too(first, second, tmp_path):
    one, two = tmp_path / f"one.{first}", tmp_path / f"two.{second}"
    sr.convert(NUMBERS, one)
    sr.convert(one, two, chunk_rows=None if second == "npy" else 777)
    same(columns(two), NUMBERS)
    fit, again = (sr.Linear(target="y", missing="drop").fit(sr.open(p)) for p in (one, two))
    np.testing.assert_array_equal(fit.coef, again.coef)


@pytest.mark.parametrize("suffix", MATRICES)
def test_types_of_a_matrix(suffix, tmp_path):
    out = tmp_path / f"out.{suffix}"
    whole = {"a": np.arange(9), "b": np.arange(9) * 2**40}
    sr.convert(whole, out)
    same(columns(out), whole)
    assert sr.open(out).schema.dtypes[0] == np.int64
    sr.convert(whole | {"c": np.linspace(0, 1, 9)}, out, force=True)
    same(columns(out), {n: v.astype(float) for n, v in whole.items()} | {"c": np.linspace(0, 1, 9)})
    with pytest.raises(sr.DataError, match="row 1,000 of column 'id' is a whole number with more digits"):
        sr.convert({"a": np.zeros(2000), "id": np.where(np.arange(2000) < 1000, 0, 2**53 + 1)}, out, force=True)
    same(columns(out), {n: v.astype(float) for n, v in whole.items()} | {"c": np.linspace(0, 1, 9)})  # still there


def test_what_a_format_cannot_hold_is_refused_by_name(tmp_path):
    for suffix in MATRICES:
        with pytest.raises(sr.DataError, match="column 'name' holds text"):
            sr.convert(MIXED, tmp_path / f"out.{suffix}", names=["a", "name"])
        with pytest.raises(sr.DataError, match="column 'day' holds dates"):
            sr.convert(MIXED, tmp_path / f"out.{suffix}", names=["a", "day"])
    for texts in (["1", "2"], ["NA", "NA"], ["2024-01-01", "2024-01-02"]):
        with pytest.raises(sr.DataError, match="column 't' holds text that would be read"):
            sr.convert({"t": np.array(texts), "a": np.arange(2.0)}, tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


def test_rows_that_pass_and_columns_that_are_named(tmp_path):
    sr.convert(MIXED, tmp_path / "all.parquet", chunk_rows=500)
    some = sr.convert(
        tmp_path / "all.parquet", tmp_path / "some.csv", where="a > 0 and name == 'harbour'", names=["id"]
    )
    kept = MIXED["id"][(MIXED["a"] > 0) & (MIXED["name"] == "harbour")]
    assert some.rows == len(kept)
    same(columns(tmp_path / "some.csv"), {"id": kept})
    with pytest.raises(sr.DataError, match="number of rows is not known"):
        sr.convert(sr.open(NUMBERS, where="a > 0"), tmp_path / "some.h5")


def test_bytes_do_not_depend_on_threads_and_cuts(tmp_path):
    sr.convert(MIXED, tmp_path / "in.parquet", chunk_rows=300)
    for suffix in ("parquet", "csv", "feather"):
        outs = [tmp_path / f"{k}.{suffix}" for k in range(3)]
        sr.convert(MIXED, outs[0])
        sr.convert(tmp_path / "in.parquet", outs[1], threads=1)
        sr.convert(tmp_path / "in.parquet", outs[2], threads=4)
        assert len({out.read_bytes() for out in outs}) == 1


def test_mistakes(tmp_path):
    out = tmp_path / "out.parquet"
    sr.convert(NUMBERS, out)
    for wrong, words in (
        (lambda: sr.convert(NUMBERS, out), "is there already"),
        (lambda: sr.convert(out, out, force=True), "is what is read"),
        (lambda: sr.convert(NUMBERS, tmp_path / "out.xlsx"), "the suffix tells the format"),
        (lambda: sr.convert(NUMBERS, tmp_path / "b.csv", names=["z"]), "no column 'z'|has no"),
        (lambda: sr.convert(NUMBERS, tmp_path / "b.parquet", compression="rar"), "compression 'rar'"),
    ):
        with pytest.raises(sr.StreamregError, match=words):
            wrong()
    assert [p.name for p in tmp_path.iterdir()] == ["out.parquet"]


def test_on_the_command_line(tmp_path, capsys):
    pd.DataFrame(MIXED).to_csv(tmp_path / "in.csv", index=False)
    command = ["convert", str(tmp_path / "in.csv"), str(tmp_path / "out.parquet")]
    assert main([*command, "--columns", "a,name", "--where", "a > 1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["columns"]) == (int((MIXED["a"] > 1).sum()), 2)
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert "5,000 rows x 7 columns" in capsys.readouterr().out
