"""Tables of any types, however they are written: the same values, or refused; never a silent other type."""

import datetime
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather

import streamreg as sr
from streamreg.kernels.gram import NAT
from streamreg.sources import Source
from streamreg.sources.chunk import Coded

WHOLE = {bits: st.integers(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)}
KINDS: dict[str, tuple[Any, Any]] = {
    "double": (pa.float64(), st.floats(width=64)),
    "float": (pa.float32(), st.floats(width=32)),
    "halffloat": (pa.float16(), st.floats(width=16)),
    **{f"int{bits}": (getattr(pa, f"int{bits}")(), values) for bits, values in WHOLE.items()},
    "uint8": (pa.uint8(), st.integers(0, 255)),
    "uint64": (pa.uint64(), st.integers(0, 2**63 - 1)),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text(max_size=5)),
    "large text": (pa.large_string(), st.text(max_size=30)),
    "coded text": (pa.dictionary(pa.int16(), pa.string()), st.sampled_from(["", "a", "b", "é", "\n,"])),
    "long decimal": (pa.decimal128(38, 20), st.decimals(-(10**17), 10**17, places=20)),
    "decimal": (pa.decimal128(20, 4), st.decimals(-(10**9), 10**9, places=4)),
    "date": (pa.date32(), st.dates(datetime.date(1700, 1, 1), datetime.date(2200, 1, 1))),
    "time": (pa.timestamp("us"), st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))),
    "null": (pa.null(), st.none()),
    "list": (pa.list_(pa.int8()), st.lists(st.integers(0, 5), max_size=3)),
    "struct": (pa.struct([("u", pa.int8())]), st.fixed_dictionaries({"u": st.integers(0, 5)})),
    "binary": (pa.binary(), st.binary(max_size=3)),
}
UNUSABLE = {"list", "struct", "binary"}


@st.composite
def tables(draw: Any) -> tuple[pa.Table, dict[str, str]]:
    rows = draw(st.integers(1, 40))
    kinds = {
        f"c{k}": kind for k, kind in enumerate(draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5)))
    }
    holes = draw(st.sampled_from(["none", "some", "all"]))
    columns = {}
    for name, kind in kinds.items():
        of, values = KINDS[kind]
        one = st.none() if holes == "all" else st.one_of(values, st.none()) if holes == "some" else values
        columns[name] = pa.array(draw(st.lists(one, min_size=rows, max_size=rows)), of)
    return pa.table(columns), kinds


def expected(values: pa.ChunkedArray, kind: str) -> list[Any]:
    """Return what a column must be read as; None where it is missing."""
    found = values.to_pylist()
    if kind in ("double", "float", "halffloat"):
        return [None if v is None or v != v else float(v) for v in found]
    if "decimal" in kind:
        return [None if v is None else float(v) for v in found]
    if kind == "date":
        return [None if v is None else (v - datetime.date(1970, 1, 1)).days for v in found]
    if kind == "time":
        epoch = datetime.datetime(1970, 1, 1)
        return [None if v is None else (v - epoch) // datetime.timedelta(microseconds=1) for v in found]
    return found


def got(source: Source, name: str, kind: str) -> list[Any]:
    out: list[Any] = []
    for part in source.partitions(8, columns=(name,)):
        for chunk in part.chunks(8):
            column = chunk.column(name)
            if isinstance(column, Coded):
                out += column.texts()
                continue
            values = column
            if values.dtype.kind == "M":
                values = values.astype("M8[us]" if kind == "time" else values.dtype).view(np.int64)
            if kind in ("double", "float", "halffloat", "decimal", "long decimal", "null"):
                assert values.dtype.kind == "f"
                out += [None if np.isnan(v) else float(v) for v in values]
            else:
                assert values.dtype.kind in "iub"
                out += [None if v == NAT else v for v in values.tolist()]
    return out


WRITERS = {
    "a.parquet": lambda table, path, size: pq.write_table(table, path, row_group_size=size),
    "b.parquet": lambda table, path, size: pq.write_table(
        table, path, row_group_size=size, use_dictionary=False, store_schema=False
    ),
    "a.feather": lambda table, path, size: feather.write_feather(table, path, chunksize=size),
}


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@pytest.mark.parametrize("name", WRITERS)
@given(whole=tables(), size=st.integers(1, 50))
def test_any_table_comes_back(whole: tuple[pa.Table, dict[str, str]], size: int, name: str, tmp_path: Path) -> None:
    table, kinds = whole
    WRITERS[name](table, tmp_path / name, size)
    source = sr.open(tmp_path / name)
    assert source.schema.names == tuple(table.column_names)
    assert source.schema.n_rows == len(table)
    for column, kind in kinds.items():
        if kind in UNUSABLE:
            with pytest.raises(sr.DataError, match="cannot be used"):
                source.partitions(columns=(column,))
        else:
            assert got(source, column, kind) == expected(table.column(column), kind)


@settings(deadline=None, max_examples=60)
@given(whole=tables())
def test_any_frame_comes_back(whole: tuple[pa.Table, dict[str, str]]) -> None:
    table, kinds = whole
    from streamreg.sources.arrow.frames import open_frame

    source = open_frame(table)
    for column, kind in kinds.items():
        if kind not in UNUSABLE:
            assert got(source, column, kind) == expected(table.column(column), kind)


def test_dictionaries_that_differ_by_row_group_and_grow_within_one(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    rows = 40_000
    texts = [np.array([f"{k}-{v}" for v in random.integers(0, 15_000, rows)]) for k in range(3)]
    with pq.ParquetWriter(
        tmp_path / "a.parquet", pa.schema([("t", pa.string())]), dictionary_pagesize_limit=50_000
    ) as file:
        for text in texts:
            file.write_table(pa.table({"t": text}), row_group_size=rows)
    source = sr.open(tmp_path / "a.parquet")
    assert got(source, "t", "text") == [t for text in texts for t in text.tolist()]


def test_odd_names(tmp_path: Path) -> None:
    names = ["a.b", "a", "", " ", "ä", "c[0]", "a.b.c", "x\ny"]
    table = pa.table([pa.array([float(k), -float(k)]) for k in range(len(names))], names=names)
    nested = table.append_column("s", pa.array([{"a": 7.0}] * 2)).append_column("s.a", pa.array([8.0, 9.0]))
    for name, write in (("a.parquet", pq.write_table), ("a.feather", feather.write_feather)):
        write(nested, tmp_path / name)
        source = sr.open(tmp_path / name)
        for k, column in enumerate(names):
            assert got(source, column, "double") == [k, -k]
        assert got(source, "s.a", "double") == [8, 9]
    twice = pa.table([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    pq.write_table(twice, tmp_path / "b.parquet")
    with pytest.raises(sr.DataError, match="two columns are called 'a'"):
        sr.open(tmp_path / "b.parquet")


def test_numbers_that_no_type_holds_are_refused(tmp_path: Path) -> None:
    for values, kind, words in (
        ([2**63, None], pa.uint64(), r"beyond 2\^63"),
        ([-(2**63), 1], pa.int64(), r"holds -2\^63"),
        ([-(2**63), None], pa.int64(), r"holds -2\^63"),
    ):
        pq.write_table(pa.table({"a": pa.array(values, kind)}), tmp_path / "a.parquet")
        with pytest.raises(sr.DataError, match=rf"column 'a'.*{words}"):
            got(sr.open(tmp_path / "a.parquet"), "a", "int64")
    pq.write_table(pa.table({"a": pa.array([2**64 - 1], pa.uint64())}), tmp_path / "a.parquet")
    assert got(sr.open(tmp_path / "a.parquet"), "a", "uint64") == [2**64 - 1]
    pq.write_table(pa.table({"a": pa.array([decimal.Decimal("0.1")])}), tmp_path / "a.parquet")
    assert got(sr.open(tmp_path / "a.parquet"), "a", "decimal") == [0.1]
