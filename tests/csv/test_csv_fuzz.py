"""Any text is read as Python's csv reads it, or refused: never a crash, a hang or another value."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rows import columns

from streamreg.errors import StreamregError
from streamreg.sources.csv.dialect import MISSING
from streamreg.sources.csv.open import open_csv

CELL = st.one_of(
    st.sampled_from(
        ["", "1", "-2", "2.5", "1,5", "NULL", "NA", "true", "False", "0012", "1e400", "nan", "inf", "x", "é", "?"]
    ),
    st.sampled_from(
        ["2024-01-01", "2024-13-01", "2024-01-01 10:00", "2024-01-01T10:00Z", "99999999999999999999", "0x10", "+1"]
    ),
    st.text(alphabet='ab1.,;"\n\r é', max_size=6),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(repr),
)
TABLE = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=12)
)
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(found: object, cell: str) -> bool:
    """Return whether a value is what a cell says."""
    if cell in MISSING:
        return found is None or found == np.iinfo(np.int64).min or (isinstance(found, float) and math.isnan(found))
    if isinstance(found, str):
        return found == cell
    if isinstance(found, bool):
        return cell.lower() == str(found).lower()
    if isinstance(found, int):
        return cell.lower() in ("true", "false") or int(cell, 0) == found
    if isinstance(found, float):
        return float(cell) == found or (math.isnan(float(cell)) and math.isnan(found))
    return str(found)[:10] == cell[:10] or cell.endswith("Z")


@QUIET
@given(table=TABLE, newline=st.sampled_from(["\n", "\r\n"]), bom=st.booleans(), piece=st.sampled_from([3, 20, 10**6]))
def test_tables_come_back_or_are_refused(tmp_path: Path, table, newline: str, bom: bool, piece: int) -> None:
    names = [f"c{k}" for k in range(len(table[0]))]
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if newline == "\n" else csv.QUOTE_MINIMAL  # else csv would not quote carriage returns
    csv.writer(text, lineterminator=newline, quoting=quoting).writerows([names, *table])
    (tmp_path / "a.csv").write_text("\ufeff" * bom + text.getvalue(), encoding="utf-8", newline="")
    try:
        source = open_csv(tmp_path / "a.csv", piece=piece, delimiter=",")
        found = columns(source, 4)
    except StreamregError:
        return
    assert source.schema.n_rows == len(table)  # csv writes '""' for a single empty cell: no blank line
    for name, values in found.items():
        for value, row in zip(values, table, strict=True):
            assert same(value, row[names.index(name)]), (name, value, row)


@QUIET
@given(
    text=st.one_of(st.text(alphabet='ab1,;"\n\r\t', max_size=80).map(str.encode), st.binary(max_size=60)),
    piece=st.sampled_from([1, 7, 10**6]),
)
def test_any_bytes_are_read_or_refused(tmp_path: Path, text: bytes, piece: int) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    results = []
    for size in (piece, 10**6):
        try:
            found = columns(open_csv(tmp_path / "a.csv", piece=size), 4)
            results.append(repr(found))
        except StreamregError as error:
            results.append(type(error).__name__)
    assert results[0] == results[1]


@pytest.mark.parametrize("where", [0, 1, 150, 299])
def test_ragged_rows_are_named_wherever_they_are(tmp_path: Path, where: int) -> None:
    rows = [f'{k},"a\n{k}"' for k in range(300)]
    rows[where] += ",more"
    (tmp_path / "a.csv").write_text("n,t\n" + "\n".join(rows), newline="")
    for piece in (50, 10**6):
        with pytest.raises(StreamregError, match=rf"row {where} \(from 0\): has 3 fields and the header 2"):
            columns(open_csv(tmp_path / "a.csv", piece=piece, delimiter=","))
