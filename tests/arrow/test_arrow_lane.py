"""One reader for several workers: each row is decoded once, and any other order gives the same rows."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamreg as sr
from streamreg.sources.arrow.lane import AHEAD, Lane, Stream

ROWS = 1000


class Counting(Stream):
    """The numbers 0 to `there` - 1 in batches of `size`; counts how many were decoded."""

    def __init__(self, size: int = 64, there: int = ROWS) -> None:
        self.label, self.rows, self.constants = "numbers", ROWS, {}
        self.size, self.there, self.decoded, self.live = size, there, 0, 0

    def batches(self, columns: Sequence[str], rows: int, start: int) -> Iterator[Any]:
        for at in range(start, self.there, self.size):
            stop = min(at + self.size, self.there)
            self.decoded += stop - at
            yield pa.record_batch([pa.array(range(at, stop))], ["n"])


class Entered(Counting):
    """The same, and it can be read from each 128th row on."""

    def entry(self, row: int) -> int:
        return row // 128 * 128


def numbers(batches: list[Any]) -> list[int]:
    return [n for batch in batches for n in batch.column(0).to_pylist()]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, ROWS), max_size=30), st.integers(1, 300), st.randoms(), st.sampled_from([Counting, Entered])
)
def test_any_ranges_in_any_order_are_what_they_should_be(
    cuts: list[int], size: int, random: Any, kind: type[Counting]
) -> None:
    borders = sorted({0, *cuts, ROWS})
    ranges = [*pairwise(borders), *pairwise(borders)]
    random.shuffle(ranges)
    lane = Lane(kind(size), ["n"], size)
    for a, b in ranges:
        assert numbers(lane.take(a, b)) == list(range(a, b))
        assert sum(len(batch) for _, batch in lane._held) <= AHEAD * max(b - a, size)


@pytest.mark.parametrize("passes", [1, 3])
def test_ranges_in_order_decode_each_row_once(passes: int) -> None:
    stream = Counting()
    lane = Lane(stream, ["n"], 64)
    for _ in range(passes):
        assert [n for a in range(0, ROWS, 50) for n in numbers(lane.take(a, a + 50))] == list(range(ROWS))
    assert stream.decoded == passes * ROWS


def test_batches_much_longer_than_what_is_asked_for_are_decoded_once() -> None:
    stream = Counting()
    lane = Lane(stream, ["n"], ROWS)
    assert [n for a in range(0, ROWS, 10) for n in numbers(lane.take(a, a + 10))] == list(range(ROWS))
    assert stream.decoded == ROWS


def test_neighbours_that_change_places_decode_each_row_once() -> None:
    stream = Counting()
    lane = Lane(stream, ["n"], 64)
    for a in range(0, ROWS, 100):
        for start in (a + 50, a):
            assert numbers(lane.take(start, start + 50)) == list(range(start, start + 50))
    assert stream.decoded == ROWS


def test_a_range_far_ahead_or_behind_is_read_from_the_nearest_entry() -> None:
    stream = Entered(32)
    lane = Lane(stream, ["n"], 32)
    for start in (900, 300, 700):
        stream.decoded = 0
        assert numbers(lane.take(start, start + 10)) == list(range(start, start + 10))
        assert stream.decoded <= 128 + 32


def test_many_threads_get_their_own_rows() -> None:
    lane = Lane(Counting(7), ["n"], 7)
    ranges = [(a, a + 10) for a in range(0, ROWS, 10)] * 3
    with ThreadPoolExecutor(8) as threads:
        for (a, b), found in zip(ranges, threads.map(lambda r: numbers(lane.take(*r)), ranges), strict=True):
            assert found == list(range(a, b))


@pytest.mark.parametrize(("there", "words"), [(900, "only 900 rows"), (1001, "more rows")])
def test_another_number_of_rows_is_told(there: int, words: str) -> None:
    lane = Lane(Counting(there=there), ["n"], 64)
    with pytest.raises(sr.DataError, match=f"{words}, and 1,000 were promised"):
        lane.take(0, ROWS)


def test_what_a_reader_raises_names_its_rows_and_the_next_try_starts_anew() -> None:
    class Failing(Counting):
        fails = True

        def batches(self, columns: Sequence[str], rows: int, start: int) -> Iterator[Any]:
            for k, batch in enumerate(super().batches(columns, rows, start)):
                if k == 3 and self.fails:
                    raise OSError("page 3\nis bad")
                yield batch

    stream = Failing()
    lane = Lane(stream, ["n"], 64)
    with pytest.raises(sr.DataError, match=r"numbers: rows from 192 on .* \(OSError: page 3\)"):
        lane.take(100, 300)
    stream.fails = False
    np.testing.assert_array_equal(numbers(lane.take(100, 300)), np.arange(100, 300))
