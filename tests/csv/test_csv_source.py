"""Rows, types and names of CSV files: the same however the bytes are cut."""

import math
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rows import columns, of_text, written

import streamreg as sr
from streamreg.errors import DataError
from streamreg.kernels import csvscan
from streamreg.kernels.gram import NAT
from streamreg.sources.csv.open import open_csv

RNG = np.random.default_rng(3)
TEXTS = ["plain", "a,b", 'say "so"', "two\nlines", "two\r\nlines", "", "é", " padded "]
ROWS = [
    [k, repr(float(RNG.normal())), TEXTS[k % len(TEXTS)], ("true", "false")[k % 2], f"2024-01-{1 + k % 28:02d}"]
    for k in range(200)
]
HEADER = ["n", "x", "t", "b", "d"]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("piece", [5, 64, 1000, 2**20])
def test_any_cut_gives_the_rows(tmp_path: Path, piece: int, newline: str, compiled: bool, monkeypatch) -> None:
    if not compiled:
        monkeypatch.setattr(csvscan, "_KERNEL", None)
    path = written(tmp_path / "a.csv", ROWS, HEADER, lineterminator=newline)
    source = open_csv(path, piece=piece)
    found = columns(source, 16)
    assert [str(d) for d in source.schema.dtypes] == ["int64", "float64", "StringDType()", "bool", "datetime64[D]"]
    assert found["n"] == list(range(200))
    assert found["x"] == [float(row[1]) for row in ROWS]
    assert found["t"] == [row[2] or None for row in ROWS]
    assert found["b"] == [row[3] == "true" for row in ROWS]
    assert [str(d) for d in found["d"]] == [row[4] for row in ROWS]


def test_quotes_amid_fields_are_characters_at_any_cut(tmp_path: Path) -> None:
    text = "a,b\n" + "".join(f'{k} 5" pipe,"x\n{k}"\n' for k in range(50))
    for piece in (3, 17, 100, 10**6):
        found = columns(of_text(tmp_path, text, piece=piece), 4)
        assert found == {"a": [f'{k} 5" pipe' for k in range(50)], "b": [f"x\n{k}" for k in range(50)]}


def test_partitions_end_at_blocks_and_pickle_small(tmp_path: Path) -> None:
    x = RNG.normal(size=(60_000, 35))
    pd.DataFrame(x, columns=[f"x{k}" for k in range(35)]).to_csv(tmp_path / "a.csv", index=False)
    source = sr.open(tmp_path / "a.csv", target="x0")
    parts = source.partitions(128, ["x0", "x3"])
    assert len(parts) == 2
    assert parts[0].stop % 128 == 0
    assert all(len(pickle.dumps(part)) < 4000 for part in parts)
    found = [pickle.loads(pickle.dumps(part)) for part in parts]
    read = np.concatenate([chunk.vectors["x3"] for part in found for chunk in part.chunks(128)])
    np.testing.assert_array_equal(read, x[:, 3])
    assert {name for part in parts for chunk in part.chunks(128) for name in chunk.vectors} == {"x0", "x3"}


def test_a_fit_has_the_bits_of_a_fit_from_memory(tmp_path: Path) -> None:
    x = RNG.normal(size=(5000, 4))
    names = ["a", "b", "c", "y"]
    pd.DataFrame(x, columns=names).to_csv(tmp_path / "a.csv", index=False)
    memory = sr.Linear().fit(sr.open(x, columns=names, target="y"))
    for piece in (1000, 10**4, 10**7):
        for threads in (1, 2):
            fit = sr.Linear().fit(open_csv(tmp_path / "a.csv", piece=piece).with_roles("y"), threads=threads)
            np.testing.assert_array_equal(fit.coef, memory.coef)


def test_what_is_missing_is_one_thing(tmp_path: Path) -> None:
    text = 'i,x,t,d,b\n1,NA,a,2024-01-01,true\n,2.5,"NA",NaN,\nNULL,nan,,N/A,false\n'
    source = of_text(tmp_path, text)
    found = columns(source)
    assert found["i"] == [1, NAT, NAT]
    assert [math.isnan(v) for v in found["x"]] == [True, False, True]
    assert found["t"] == ["a", None, None]
    assert [v is None for v in found["d"]] == [False, True, True]
    assert found["b"] == [1, NAT, 0]
    assert columns(of_text(tmp_path, "a\n1\n-\n", na_values="-"))["a"] == [1, NAT]


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["0012", "7"], "StringDType()", ["0012", "7"]),
        (["0.5", "7"], "float64", [0.5, 7.0]),
        (["1e3", " 2 "], "float64", [1000.0, 2.0]),
        (["inf", "-inf"], "float64", [math.inf, -math.inf]),
        (["9223372036854775807", "-1"], "int64", [2**63 - 1, -1]),
        (["18446744073709551615", "1"], "uint64", [2**64 - 1, 1]),
        (["True", "FALSE"], "bool", [True, False]),
        (["2024-01-01 10:30", "2024-01-01T10:30:00.25"], "datetime64[us]", None),
        (["2024-01-01 10:30:00.123456789", "2024-01-02"], "datetime64[ns]", None),
        (["2024-01-01T10:30:00Z", "2024-01-01T10:30:00+02:00"], "datetime64[us]", None),
        (["A1", "B2"], "StringDType()", ["A1", "B2"]),
    ],
)
def test_types(tmp_path: Path, cells: list[str], dtype: str, values: list | None) -> None:
    source = of_text(tmp_path, "v,w\n" + "".join(f"{cell},x\n" for cell in cells))
    assert str(source.schema.dtype("v")) == dtype
    if values is not None:
        assert columns(source)["v"] == values
    assert source.schema.zones == ({"v": "UTC"} if cells[0].endswith("Z") else {})


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1", "2", "?"], r"holds numbers, and others such as '\?'; .*pass na_values"),
        (["1,5", "2,5"], "such as '1,5'; .* decimal=','"),
        (["1,234.5", "2,345.0"], "not read as numbers"),
        (["+1", "+2"], "not read as numbers"),
        (["5%", "7%"], "not read as numbers"),
        (["99999999999999999999", "1"], "whole numbers that int64 does not"),
        (["2024-01-01", "2024-02-30"], "a date that is none"),
        (["2024-01-01", "2024-01-02", "soon"], "holds dates, and others such as 'soon'"),
        (["2024-01-01T10:00Z", "2024-01-01T10:00"], "with a zone and times without"),
    ],
)
def test_columns_that_might_be_two_things_are_refused_where_they_are_used(
    tmp_path: Path, cells: list[str], message: str
) -> None:
    source = of_text(tmp_path, "v;w\n" + "".join(f"{cell};{k}\n" for k, cell in enumerate(cells)))
    assert columns(source) == {"w": list(range(len(cells)))}
    with pytest.raises(DataError, match=message):
        source.partitions(columns=["v"])
    with pytest.raises(DataError, match=message):
        sr.Linear().fit(source.with_roles("w"))
    assert columns(of_text(tmp_path, (tmp_path / "a.csv").read_bytes(), dtypes={"v": "text"}))["v"] == cells


def test_types_that_are_given_hold(tmp_path: Path) -> None:
    text = "a,b,c,d\n0012,1,true,2024-01-01\n7,2,,NA\n"
    kinds = {"a": "int64", "b": "text", "c": bool, "d": "datetime"}
    source = of_text(tmp_path, text, dtypes=kinds)
    assert [str(d) for d in source.schema.dtypes] == ["int64", "StringDType()", "int64", "datetime64[us]"]
    assert columns(source, names=["a", "b", "c"]) == {"a": [12, 7], "b": ["1", "2"], "c": [1, NAT]}


def test_numbers_are_those_of_pandas(tmp_path: Path) -> None:
    x = np.concatenate([RNG.normal(size=300) * 10.0 ** RNG.integers(-300, 300, 300), [0.0, -0.0, 5e-324, 1.7e308]])
    (tmp_path / "a.csv").write_text("x,z\n" + "".join(f"{v!r},1\n" for v in x.tolist()))
    expected = pd.read_csv(tmp_path / "a.csv")["x"].to_numpy()
    np.testing.assert_array_equal(columns(sr.open(tmp_path / "a.csv"))["x"], expected)
    np.testing.assert_array_equal(expected, x)


@pytest.mark.parametrize(("delimiter", "name"), [(",", "a.csv"), (";", "a.csv"), ("\t", "a.csv"), ("|", "a.txt")])
def test_the_delimiter_is_seen(tmp_path: Path, delimiter: str, name: str) -> None:
    rows = [[1, "a,b;c"], [2, "d|e\tf"]]
    source = sr.open(written(tmp_path / name, rows, ["n", "t"], delimiter=delimiter))
    assert columns(source) == {"n": [1, 2], "t": ["a,b;c", "d|e\tf"]}


def test_headers(tmp_path: Path) -> None:
    assert columns(of_text(tmp_path, "1,2\n3,4\n", header=False)) == {"x0": [1, 3], "x1": [2, 4]}
    assert columns(of_text(tmp_path, ',"b\nc", d \n9,1,2\n')) == {"b\nc": [1], "d": [2]}
    assert columns(of_text(tmp_path, "\ufeff\n\na,b\n1,2\n")) == {"a": [1], "b": [2]}
    path = written(tmp_path / "b.csv", [[1, 2]], ["a", "a"])
    assert columns(sr.open(path, columns=["p", "q"])) == {"p": [1], "q": [2]}
    with pytest.raises(DataError, match="two columns are called 'a'"):
        sr.open(path)
    with pytest.raises(DataError, match="holds no names but numbers"):
        of_text(tmp_path, "1,2\n3,4\n")


def test_formulas_take_text_and_dates(tmp_path: Path) -> None:
    rows = [[TEXTS[k % 4], f"20{10 + k % 9}-0{1 + k % 9}-01", k % 7 + 0.25 * (k % 4)] for k in range(400)]
    source = sr.open(written(tmp_path / "a.csv", rows, ["t", "d", "y"]))
    fit = sr.Linear(formula="y ~ t + year(d)").fit(source)
    frame = pd.read_csv(tmp_path / "a.csv", parse_dates=["d"])
    x = np.column_stack(
        [np.ones(400), *(frame["t"] == level for level in sorted(TEXTS[:4])[1:]), frame["d"].dt.year - 2014.0]
    ).astype(float)
    expected = np.linalg.lstsq(x, frame["y"], rcond=None)[0]
    assert sorted(fit.coef)[-1] == pytest.approx(sorted(expected[1:])[-1], rel=1e-9)
