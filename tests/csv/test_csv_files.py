"""CSV files on disk: compressed, several, cut short, changed; what is said of each."""

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from rows import columns, of_text, written

import streamreg as sr
from streamreg.errors import ChangedError, CorruptError, DataError, NotFound, UsageError
from streamreg.sources.csv.open import open_csv

HEADER = ["n", "t"]
ROWS = [[k, f"a\n{k}"] for k in range(3000)]
WHOLE = {"n": [k for k, _ in ROWS], "t": [t for _, t in ROWS]}


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(data)
    return sink.getvalue().to_pybytes()


PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("piece", [100, 10**6])
def test_compressed_files(tmp_path: Path, suffix: str, piece: int) -> None:
    plain = written(tmp_path / "a.csv", ROWS, HEADER).read_bytes()
    path = tmp_path / f"a.csv{suffix}"
    half = plain.index(b"\n", len(plain) // 2)
    path.write_bytes(PACK[suffix](plain[:half]) + PACK[suffix](plain[half:]))  # of two members
    source = open_csv(path, piece=piece)
    assert columns(source) == WHOLE
    assert len(source.partitions()) == 1
    assert columns(sr.open(path)) == WHOLE


@pytest.mark.parametrize("suffix", ["", *PACK])
def test_records_longer_than_what_is_read_at_a_time(tmp_path: Path, suffix: str) -> None:
    rows = [[k, "long\n" * 20_000] for k in range(3)]
    plain = written(tmp_path / "a.csv", rows, HEADER).read_bytes()
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(PACK[suffix](plain) if suffix else plain)
    assert columns(open_csv(path, piece=1000)) == {"n": [0, 1, 2], "t": [text for _, text in rows]}


@pytest.mark.parametrize("suffix", PACK)
def test_compressed_files_that_are_cut_or_damaged(tmp_path: Path, suffix: str) -> None:
    packed = PACK[suffix](written(tmp_path / "a.csv", ROWS, HEADER).read_bytes())
    path = tmp_path / f"a.csv{suffix}"
    for bad in (packed[: len(packed) // 2], b"n,t\n1,2\n"):
        path.write_bytes(bad)
        with pytest.raises(CorruptError, match="damaged or cut short"):
            columns(sr.open(path))
    path.write_bytes(packed[:100] + bytes(50) + packed[150:])
    with pytest.raises(DataError):  # Arrow writes zstd without a checksum, so there it is the text that is wrong
        columns(sr.open(path))


def test_several_files_are_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "trips"
    folder.mkdir()
    for k in range(3):
        names = ["n", "t"] if k != 1 else ["t", "more", "n"]
        rows = ROWS[1000 * k : 1000 * (k + 1)]
        if k == 1:
            rows = [[t, 1.5, n] for n, t in rows]
        written(folder / f"{k}.csv", rows, names)
    written(folder / "9.csv", [], HEADER)  # a day without rows
    (folder / "README.txt").write_text("not a table")
    files = sorted(folder.glob("*.csv"))
    for given in (folder, str(folder / "*.csv"), files):
        assert columns(sr.open(given)) == WHOLE
    with pytest.raises(UsageError, match="listed twice"):
        sr.open([files[0], files[0]])


def test_types_hold_for_all_files(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{k}.csv", [[value, k]], ["x", "k"]) for k, value in enumerate(["1", "2.5", "NA"])]
    found = columns(sr.open(paths))
    assert found["x"][:2] == [1.0, 2.5]
    assert found["k"] == [0, 1, 2]


def test_a_file_without_a_column_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "1.csv", [[1, 2]], ["fare", "tip"])
    written(tmp_path / "2.csv", [[1, 2]], ["Fare", "tip"])
    with pytest.raises(NotFound, match=r"2\.csv: has no column 'fare', which .*1\.csv has; did you mean 'Fare'\?"):
        sr.open(tmp_path)


@pytest.mark.parametrize("change", ["append", "cut", "replace", "remove"])
def test_a_file_that_changes_is_noticed(tmp_path: Path, change: str) -> None:
    path = written(tmp_path / "a.csv", [[k, k] for k in range(2000)], ["a", "b"])
    source = open_csv(path, piece=1000)
    before = source.fingerprint()
    chunks = source.partitions()[0].chunks(8)
    next(chunks)
    text = path.read_bytes()
    if change == "remove":
        path.unlink()
    else:
        path.write_bytes({"append": text + b"1,2\n", "cut": text[:9000], "replace": text[::1] + b""}[change])
    with pytest.raises(ChangedError):
        list(chunks)
    with pytest.raises(ChangedError):
        list(source.partitions()[0].chunks(8))
    if change != "remove":
        assert source.fingerprint() != before


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, "is empty"),
        ("\n\n", DataError, "is empty"),
        ("a,b\n", DataError, "no rows beside its header"),
        ("a,b", DataError, "no rows beside its header"),
        ("a,b\n1,2\n3\n", DataError, r"row 1 \(from 0\): has 1 fields and the header 2: '3'; mend it"),
        ("a,b\n1,2\n1,5,2,5\n", DataError, r"row 1 .*has 4 fields and the header 2.*commas are decimal marks"),
        ('a,b\n1,2\n3,"x\n4,5\n', CorruptError, r"row 1 \(from 0\): a quote is not closed"),
        ('a,b\n1,2\n3,"x"y\n', DataError, r"row 1 \(from 0\): a field goes on after its closing quote"),
        ("a,b\r1,2\r3,4\r", DataError, "a carriage return that no newline follows"),
        ("a,b\n1,2\n3,4\r", DataError, r"row 1 \(from 0\): has a carriage return"),
        (b"a,b\n1,x\n2,caf\xe9\n", DataError, r"row 1 \(from 0\), column 'b': is not UTF-8; pass .*encoding='latin-1'"),
        (b"caf\xe9,b\n1,x\n", DataError, "the header is not utf-8"),
        ("a,b\n1,2\n".encode("utf-16"), DataError, "is UTF-16; convert it"),
        ("a,b\n1,2\n".encode("utf-32"), DataError, "is UTF-32; convert it"),
        (bytes(range(256)) * 300, DataError, "."),
    ],
)
@pytest.mark.parametrize("piece", [4, 10**6])
def test_malformed_text_is_refused_with_its_place(
    tmp_path: Path, text: Any, error: type, message: str, piece: int
) -> None:
    with pytest.raises(error, match=message):
        columns(of_text(tmp_path, text, piece=piece))


def test_other_encodings(tmp_path: Path) -> None:
    text = "a,b\n1,café\n2,£\n"
    for encoding in ("latin-1", "cp1252", "utf-8-sig"):
        found = columns(of_text(tmp_path, text.encode(encoding), encoding=encoding, piece=6))
        assert found == {"a": [1, 2], "b": ["café", "£"]}
    with pytest.raises(DataError, match=r"row 1 \(from 0\): byte 0x81 is not cp1252"):
        columns(of_text(tmp_path, b"a,b\n1,x\n2,\x81\n", encoding="cp1252"))
    for encoding in ("utf-16", "shift_jis", "klingon"):
        with pytest.raises(UsageError, match=encoding):
            of_text(tmp_path, text, encoding=encoding)


LATE = [
    ("1", "2.5", "'2.5' is not a whole number, .*dtypes={'v': 'float64'}"),
    ("1", "x", "'x' is not a whole number, .*dtypes={'v': 'text'}"),
    ("1.5", "1,5", "'1,5' is not a number"),
    ("true", "maybe", "'maybe' is not true or false"),
    ("true", "", "is missing, .*dtypes={'v': 'bool'}"),
    ("18446744073709551615", "", "is missing, .*dtypes={'v': 'float64'}"),
    ("7", "007", "'007' begins with a zero, .*dtypes={'v': 'text'}, or 'int64'"),
    ("-7", " -01", "' -01' begins with a zero"),
    ("2024-01-01", "2024-13-01", "'2024-13-01' is not a date"),
    ("2024-01-01", "2024-01-01 10:00", "'2024-01-01 10:00' is not a date, .*dtypes={'v': 'datetime'}"),
    ("2024-01-01T10:00:00", "2024-01-01T10:00:00Z", "'2024-01-01T10:00:00Z' is not a date with time"),
]


@pytest.mark.parametrize(("early", "late", "message"), LATE)
def test_a_late_cell_of_another_type_is_refused_with_its_place(
    tmp_path: Path, early: str, late: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamreg.sources.csv.open._SAMPLE", 2**16)
    rows = [[k, early] for k in range(30_000)]
    rows[20_011][1] = late  # not among the rows that types are learned from
    source = open_csv(written(tmp_path / "a.csv", rows, ["k", "v"], delimiter=";"), piece=2**17)
    with pytest.raises(DataError, match=r"a\.csv, row 20,011 \(from 0\), column 'v': " + message):
        columns(source)
    assert columns(source, names=["k"])["k"] == list(range(30_000))


def test_options_that_are_none(tmp_path: Path) -> None:
    text = "a,b\n1,2\n"
    for options, message in [
        ({"delimeter": ";"}, "did you mean 'delimiter'"),
        ({"delimiter": "ab"}, "one ASCII character"),
        ({"delimiter": '"'}, "no two can be the same"),
        ({"header": 3}, "header=3"),
        ({"dtypes": {"a": "complex"}}, "it can be float64"),
        ({"dtypes": "int"}, "types by column"),
        ({"na_values": [1]}, "must be texts"),
    ]:
        with pytest.raises(UsageError, match=message):
            of_text(tmp_path, text, **options)
    with pytest.raises(NotFound, match="no column 'c'"):
        of_text(tmp_path, text, dtypes={"c": "text"})
    with pytest.raises(UsageError, match="must be a mapping"):
        sr.open(tmp_path / "a.csv", options=[1])
    with pytest.raises(UsageError, match="options are for CSV"):
        sr.open(tmp_path / "a.npy", options={"header": False})
    (tmp_path / "data").write_text(text)
    assert columns(sr.open(tmp_path / "data", format="csv")) == {"a": [1], "b": [2]}


def test_the_least_int64_is_no_missing_value(tmp_path: Path) -> None:
    for more in ("", ",7\n"):
        with pytest.raises(DataError, match="holds -2\\^63"):
            columns(of_text(tmp_path, f"a,b\n{-(2**63)},1\n{more}", dtypes={"a": "int64"}))


def test_folders_name_columns(tmp_path: Path) -> None:
    for year in (2020, 2021):
        (tmp_path / f"year={year}").mkdir()
        pd.DataFrame({"a": [year, 1]}).to_csv(tmp_path / f"year={year}" / "p.csv", index=False)
    assert columns(sr.open(tmp_path)) == {"a": [2020, 1, 2021, 1], "year": [2020, 2020, 2021, 2021]}


def test_a_leading_zero_is_read_as_a_number_where_the_caller_says_so(tmp_path: Path) -> None:
    text = "g\n" + "7\n" * 60_000 + "007\n" + "7\n" * 60_000
    found = columns(of_text(tmp_path, text, dtypes={"g": "int64"}))
    assert found["g"] == [7] * 120_001
