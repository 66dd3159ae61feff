"""Several files as one table: folders, patterns, lists, URLs; columns that differ are widened or refused."""

import datetime
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamreg as sr
from streamreg.errors import NotFound
from streamreg.sources import Partition, Source
from streamreg.sources.arrow.parquet import RowGroups
from streamreg.sources.chunk import Coded

RNG = np.random.default_rng(3)
N = 400
X = RNG.normal(size=(N, 2))
Y = X @ [1.0, 2.0] + RNG.normal(size=N)


def put(path: Path, rows: slice = slice(None), **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {"a": X[rows, 0], "b": X[rows, 1], "y": Y[rows], **columns}
    pq.write_table(pa.table({k: v for k, v in table.items() if v is not None}), path, row_group_size=70)
    return path


def values(source: Source, name: str) -> list[Any]:
    """Return a column, None where text is missing."""
    found: list[Any] = []
    for part in source.partitions(columns=(name,)):
        for chunk in part.chunks(64):
            column = chunk.column(name)
            found += column.texts() if isinstance(column, Coded) else column.tolist()
    return found


def fit(data: Any, **options: Any) -> Any:
    return sr.Linear(features=("a", "b")).fit(sr.open(data, target="y", **options), progress=False)


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    put(tmp_path / "all/year=2020/month=1/p.parquet", slice(0, 150))
    put(tmp_path / "all/year=2021/month=10/p.parquet", slice(150, None))
    (tmp_path / "all/_SUCCESS").touch()
    (tmp_path / "all/.p.parquet.crc").touch()
    return tmp_path / "all"


def test_a_folder_a_pattern_a_list_and_one_file_are_the_same_rows(halves: Path, tmp_path: Path) -> None:
    whole = fit(put(tmp_path / "one.pq"))
    files = sorted(halves.rglob("p.parquet"))
    for data in (
        halves,
        str(halves),
        halves / "*/*/p.parquet",
        str(halves / "**/*.parquet"),
        files,
        tuple(map(str, files)),
    ):
        np.testing.assert_array_equal(fit(data).coef, whole.coef)
    np.testing.assert_array_equal(fit(halves, format="parquet").coef, whole.coef)


def test_names_of_folders_are_columns(halves: Path) -> None:
    data = sr.open(halves)
    assert data.schema.names == ("a", "b", "y", "year", "month")
    assert values(data, "year") == [2020] * 150 + [2021] * (N - 150)
    assert values(data, "month") == [1] * 150 + [10] * (N - 150)
    put(halves / "year=__HIVE_DEFAULT_PARTITION__/month=3%2F4/p.parquet", slice(0, 5))
    data = sr.open(halves)
    assert values(data, "month") == ["1"] * 150 + ["10"] * (N - 150) + ["3/4"] * 5
    assert values(data, "year")[-1] == np.iinfo(np.int64).min
    np.testing.assert_allclose(sr.Linear(features=("a", "year"), missing="drop", target="y").fit(data).n, N)
    put(halves / "year=2020/p.parquet", slice(0, 5))
    with pytest.raises(sr.DataError, match=r"say year=2020, and those of .* say year=2020/month=1"):
        sr.open(halves)


def test_files_elsewhere_are_read(halves: Path, tmp_path: Path) -> None:
    whole = fit(put(tmp_path / "one.parquet"))
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/one.parquet", (tmp_path / "one.parquet").read_bytes())
    for file in halves.rglob("p.parquet"):
        memory.pipe(f"/bucket/all/{file.relative_to(halves)}", file.read_bytes())
    np.testing.assert_array_equal(fit("memory://bucket/one.parquet").coef, whole.coef)
    for data, options in (("memory://bucket/all", {"format": "parquet"}), ("memory://bucket/all/*/*/p.parquet", {})):
        np.testing.assert_array_equal(fit(data, **options).coef, whole.coef)
        assert values(sr.open(data, **options), "month")[-1] == 10
    data = sr.open("memory://bucket/one.parquet", target="y")
    memory.pipe("/bucket/one.parquet", b"other")
    with pytest.raises(sr.DataError, match="written to since"):
        sr.Linear().fit(data)
    with pytest.raises(NotFound, match="no such file"):
        sr.open("memory://bucket/none.parquet")
    with pytest.raises(sr.UsageError, match="cannot be read"):
        sr.open("nonsense://bucket/none.parquet")


def test_columns_are_found_by_name_and_widened(tmp_path: Path) -> None:
    days = [datetime.date(2024, 1, 1)] * N
    stamps = np.array(days, "M8[us]")
    first = put(
        tmp_path / "t/1.parquet", k=np.arange(N, dtype="i4"), f=X[:, 0].astype("f4"), d=pa.array(days), n=pa.nulls(N)
    )
    other = {"n": ["x"] * N, "d": stamps, "f": X[:, 0], "k": np.arange(N), "more": np.zeros(N)}
    put(tmp_path / "t/2.parquet", y=None, **other)
    table = pq.read_table(tmp_path / "t/2.parquet").append_column("y", pa.array(Y))
    pq.write_table(table, tmp_path / "t/2.parquet")
    data = sr.open(first.parent)
    assert data.schema.names == ("a", "b", "y", "k", "f", "d", "n")
    assert [str(data.schema.dtype(n)) for n in ("k", "f", "d")] == ["int64", "float64", "datetime64[us]"]
    assert values(data, "k") == [*range(N), *range(N)]
    assert values(data, "n") == [None] * N + ["x"] * N
    np.testing.assert_array_equal(values(data, "y"), [*Y, *Y])
    assert values(data, "f")[0] == np.float32(X[0, 0])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"b": ["x"] * N}, r"2.parquet: column 'b' holds string, and in .*1.parquet it holds double"),
        ({"b": None}, r"2.parquet: has no column 'b'; there is a, y, and .*1.parquet has one that holds double"),
        ({"b": None, "B": X[:, 1]}, r"has no column 'b'; did you mean 'B'"),
        ({"b": X[:, 1] > 0}, r"column 'b' holds bool, and in .* double"),
        ({"b": np.zeros(N, "M8[us]")}, r"column 'b' holds timestamp\[us\], and in .* double"),
    ],
)
def test_other_columns_are_refused_before_rows_are_read(tmp_path: Path, columns: dict[str, Any], words: str) -> None:
    put(tmp_path / "t/1.parquet")
    put(tmp_path / "t/2.parquet", **columns)
    data = sr.open(tmp_path / "t", target="y")
    with pytest.raises(sr.DataError, match=words):
        sr.Linear().fit(data)
    assert sr.Linear(features=("a",)).fit(data).n == 2 * N


def test_time_zones_must_be_the_same(tmp_path: Path) -> None:
    for k, zone in enumerate(("UTC", "Europe/Oslo", None)):
        put(tmp_path / f"t/{k}.parquet", t=pa.array(np.zeros(N, "M8[s]"), pa.timestamp("s", zone)))
    assert sr.open(tmp_path / "t/1.parquet").schema.zones == {"t": "Europe/Oslo"}
    for pair in ((0, 1), (0, 2), (2, 1)):
        data = sr.open([tmp_path / f"t/{k}.parquet" for k in pair])
        with pytest.raises(sr.DataError, match=r"column 't' holds timestamp\[ms"):
            data.partitions(columns=("t",))


def test_integers_beside_floats_must_be_exact(tmp_path: Path) -> None:
    put(tmp_path / "t/1.parquet", slice(0, 2), k=np.zeros(2))
    put(tmp_path / "t/2.parquet", slice(0, 2), k=np.array([1, 2**53], "i8"))
    assert values(sr.open(tmp_path / "t"), "k") == [0, 0, 1, 2**53]
    put(tmp_path / "t/2.parquet", slice(0, 2), k=np.array([1, 2**53 + 1], "i8"))
    with pytest.raises(sr.DataError, match=r"2.parquet, row group 0: column 'k': holds integers beyond 2\^53"):
        values(sr.open(tmp_path / "t"), "k")


def test_dates_that_a_finer_unit_cannot_hold_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "t/1.parquet", slice(0, 1), d=pa.array([datetime.date(2500, 1, 1)]))
    put(tmp_path / "t/2.parquet", slice(0, 1), d=pa.array([0], pa.timestamp("ns")))
    with pytest.raises(sr.DataError, match="dates that datetime64"):
        values(sr.open(tmp_path / "t"), "d")


def test_what_cannot_be_used_is_refused_only_when_it_is_asked_for(tmp_path: Path) -> None:
    path = put(tmp_path / "t.parquet", nested=[[1.0]] * N, raw=[b"x"] * N)
    assert fit(path).n == N
    with pytest.raises(sr.DataError, match=r"column 'nested' .*(neither|list)"):
        sr.Linear().fit(sr.open(path, target="y"))
    with pytest.raises(sr.DataError, match=r"column 'raw' is of type binary"):
        sr.fit_by(sr.Linear(features=("a",)), sr.open(path, target="y"), by="raw")


def test_mistakes_are_told(tmp_path: Path, halves: Path) -> None:
    with pytest.raises(NotFound, match="no file matches"):
        sr.open(tmp_path / "*.parquet")
    with pytest.raises(NotFound, match=r"did you mean 'p.parquet'"):
        sr.open(halves / "year=2020/month=1/q.parquet")
    (tmp_path / "none").mkdir()
    with pytest.raises(NotFound, match=r"ends in .parquet, .pq"):
        sr.open(tmp_path / "none", format="parquet")
    (halves / "x.feather").touch()
    with pytest.raises(sr.UsageError, match="several formats, arrow and parquet"):
        sr.open(halves)
    with pytest.raises(sr.UsageError, match="leave columns out"):
        sr.open(halves, format="parquet", columns=["a"])
    with pytest.raises(sr.UsageError, match="format is 'csvv'"):
        sr.open(halves, format="csvv")
    twice = halves / "year=2020/month=1/p.parquet"
    with pytest.raises(sr.UsageError, match="listed twice"):
        sr.open([twice, halves / "*/*/p.parquet"])


@pytest.mark.parametrize("group", [500, 4096, 5000, 40_000])
def test_runs_in_any_order_decode_each_row_once(tmp_path: Path, group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamreg.sources.arrow.source.PART_BYTES", 2**16)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": np.arange(40_000.0), "b": np.arange(40_000.0)}), path, row_group_size=group)
    decoded, batches = [0], RowGroups.batches

    def counting(self: RowGroups, *args: Any) -> Iterator[Any]:
        for batch in batches(self, *args):
            decoded[0] += len(batch)
            yield batch

    monkeypatch.setattr(RowGroups, "batches", counting)

    def rows_of(run: Sequence[Partition]) -> Iterator[Any]:
        return (chunk.vectors["a"].copy() for part in run for chunk in part.chunks(64))

    runs = sr.open(path).runs(["a"])
    for seed in range(2):
        waiting, found = iter(np.random.default_rng(seed).permutation(len(runs))), []
        turns = deque(rows_of(runs[k]) for k in islice(waiting, 4))
        while turns:
            rows = turns.popleft()
            if (piece := next(rows, None)) is not None:
                found.append(piece)
                turns.append(rows)
            elif (k := next(waiting, None)) is not None:
                turns.append(rows_of(runs[k]))
        np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(40_000.0))
    assert decoded[0] == 80_000
