"""Where records end: every kernel agrees with a reading byte by byte, however the text is cut."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreg.kernels import csvscan

QUOTE, DELIMITER = ord('"'), ord(",")
KERNELS = [None, *range(len(csvscan._csvscan.kernels()))] if csvscan._KERNEL is not None else [None]

FIELD = st.sampled_from(["", "1", "abc", '"a"', '"x,\n""y"', '""', '"\r\n"', '","', '"' + "long " * 20 + '"'])
WELL_FORMED = st.builds(
    lambda rows, newline, end: (newline.join(",".join(row) for row in rows) + newline * end).encode(),
    st.lists(st.lists(FIELD, min_size=1, max_size=4), max_size=12),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.integers(0, 2),
)
ANY = st.text(alphabet='ab,"\n\r', max_size=200).map(str.encode)


def usable(kernel: int | None) -> bool:
    return kernel is None or csvscan._csvscan.kernels()[kernel] is not None


@pytest.fixture(params=KERNELS, ids=str)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int | None:
    if not usable(request.param):
        pytest.skip("not on this processor")
    monkeypatch.setattr(csvscan, "_KERNEL", request.param)
    return request.param


def scanned(text: bytes, cuts: list[int], quote: int = QUOTE) -> tuple[int, bool, bool]:
    """Return records, whether the text ends inside quotes, and whether it is irregular, from pieces looked at apart."""
    inside, records, irregular = False, 0, False
    for a, b in itertools.pairwise([0, *cuts, len(text)]):
        odd, *sides = csvscan.scan(text[max(0, a - 2) : b], min(a, 2), DELIMITER, quote)
        records, irregular = records + sides[inside].records, irregular or sides[inside].irregular
        inside ^= odd
    return records, inside, irregular


@settings(max_examples=60, deadline=None)
@given(text=st.one_of(WELL_FORMED, ANY), data=st.data())
def test_pieces_looked_at_apart_give_the_records_of_the_whole(text: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    records, _, state = csvscan.walk(text, csvscan.RECORD, DELIMITER, QUOTE)
    before = csvscan._KERNEL
    try:
        for kernel in filter(usable, KERNELS):
            csvscan._KERNEL = kernel
            found, inside, irregular = scanned(text, cuts)
            assert (found, inside, irregular) == scanned(text, [])
            if not irregular:
                assert found == records
                assert inside == (state == csvscan.QUOTED)
            assert csvscan.walk(text, csvscan.RECORD, DELIMITER, QUOTE)[::2] == (records, state)
            at, now, total = 0, csvscan.RECORD, 0
            for a, b in itertools.pairwise([0, *cuts, len(text)]):
                count, at, now = csvscan.walk(text[a:b], now, DELIMITER, QUOTE)
                total += count
                if now >= csvscan.WRONG_QUOTE:
                    break
            assert (total, now) == (records, state), at
    finally:
        csvscan._KERNEL = before


@settings(max_examples=60, deadline=None)
@given(text=WELL_FORMED)
def test_well_formed_text_is_regular_and_has_the_records_of_pythons_csv(text: bytes) -> None:
    import csv
    import io

    rows = [row for row in csv.reader(io.StringIO(text.decode(), newline="")) if row]
    records, inside, irregular = scanned(text, [len(text) // 2])
    open_end = bool(text.strip(b"\r\n")) and not text.endswith(b"\n")
    assert not irregular
    assert not inside
    if not open_end:
        assert records == len(rows)


def test_every_kernel_finds_the_place_where_a_record_ends(kernel: int | None) -> None:
    rows = [b'%d,"a\n""b",%s\n' % (k, b"x" * (k % 130)) for k in range(300)]
    text = b"".join(rows)
    ends = np.cumsum([len(row) for row in rows])
    for k in (1, 2, 17, 300):
        _, outside, _ = csvscan.scan(text, 0, DELIMITER, QUOTE, k)
        assert outside.at == ends[k - 1]
        assert csvscan.walk(text, csvscan.RECORD, DELIMITER, QUOTE, k)[:2] == (k, ends[k - 1])
    _, outside, inside = csvscan.scan(text[3:], 0, DELIMITER, QUOTE, 1)
    assert (inside.records, outside.irregular) == (300, True)
    assert csvscan.scan(text, 0, DELIMITER, -1)[1].records == 600


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (b'a,"b"c\n', csvscan.WRONG_QUOTE),
        (b"a\rb\n", csvscan.WRONG_RETURN),
        (b"\r\r\n", csvscan.WRONG_RETURN),
        (b'a,b"c"\n', csvscan.RECORD),
        (b'a,"b""', csvscan.QUOTED),
    ],
)
def test_what_is_not_regular_is_seen(kernel: int | None, text: bytes, state: int) -> None:
    assert csvscan.walk(text, csvscan.RECORD, DELIMITER, QUOTE)[2] == state
    assert scanned(text, [])[2] or state == csvscan.QUOTED


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(["", "0", "7", "70", "0.5", "-0", "-07", "007", " 01", "\t-00", '"05"', "a", "2020-01-02"])
    )
)
def test_no_leading_zero_is_overlooked(fields: list[str]) -> None:
    text = ",".join(fields).encode()
    padded = b"1," * 20_000 + text
    true = any(re.match(r"[ \t]*-?0\d", field) for field in fields)
    quoted = '"05"' in fields
    for kernel in {csvscan._KERNEL, None}:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csvscan, "_KERNEL", kernel)
            assert csvscan.zeros(text, DELIMITER, QUOTE) >= (true or quoted)
            assert csvscan.zeros(padded, DELIMITER, -1) >= true
    assert not csvscan.zeros(b"0.5,-0,10,1.05\n2020-01-02 03:04,0", DELIMITER, QUOTE) or csvscan._KERNEL is None
