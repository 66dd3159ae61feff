"""Laws of every statistic: any cut and any engine gives the same bits, and states travel."""

import pickle
from typing import Any

import numpy as np
import pytest
from cases import ROWS, STATISTICS, Case
from helpers import Cut
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamreg.engines.base import Engine
from streamreg.engines.serial import Serial
from streamreg.engines.threads import Threads
from streamreg.errors import UsageError
from streamreg.scans.fold import folded
from streamreg.scans.partitions import Recipe, fold_rows

NAMES = list(STATISTICS)


def numbers(case: Case, source: Any = None, engine: Engine = Serial()) -> dict[str, Any]:  # noqa: B008
    return case.numbers(folded(source or case.source(), case.design(), case.make(), engine=engine).state)


def same(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


BORDERS = (700, 2048, 3000, 5500)


@pytest.mark.parametrize("name", NAMES)
def test_any_engine_gives_the_same_bits(name, engine):
    case = STATISTICS[name]
    cut = Cut(case.source(), BORDERS, (900, 1, 4000))
    same(numbers(case, cut, engine), numbers(case, cut))


@pytest.mark.parametrize("name", [name for name in NAMES if STATISTICS[name].any_cut])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, ROWS - 1), max_size=4), st.lists(st.integers(1, 5000), min_size=1, max_size=3))
def test_any_cut_gives_the_same_bits(name, borders, sizes):
    case = STATISTICS[name]
    same(numbers(case, Cut(case.source(), borders, sizes), Threads(2)), numbers(case))


class Sharing(Serial):
    """Several items in each task."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        object.__setattr__(self, "size", size)

    def share(self, items: Any, nbytes: Any = None) -> int:
        return self.size


@pytest.mark.parametrize("size", [2, 3, 100])
@pytest.mark.parametrize("name", NAMES)
def test_tasks_of_several_partitions_give_the_same_bits(name, size):
    case = STATISTICS[name]
    # Some partitions end within a block, some lie within one, and some fill several.
    cut = Cut(case.source(), (700, 720, 2048, 3000, 3001, 5500, 8192, 8300), (900, 1, 4000))
    same(numbers(case, cut, Sharing(size)), numbers(case, cut))


@pytest.mark.parametrize("name", NAMES)
def test_a_state_goes_on_from_its_arrays(name):
    case = STATISTICS[name]
    statistic = case.make()
    block = statistic.block_rows
    parts = Cut(case.source(2 * block + 500), (block,), (1000,)).partitions(block)
    first, second = (fold_rows(part, False, False, Recipe(case.design(), statistic)) for part in parts)
    second.state.merge(_rest(second, case))
    if name == "spilled clusters":
        with pytest.raises(UsageError, match="temporary files"):
            first.state.to_arrays()
        return
    arrays = first.state.to_arrays()
    assert all(array.dtype.kind in "fiubU" for array in arrays.values())
    again = type(statistic).from_arrays(arrays)
    assert again.counts() == first.state.counts()
    # As where a scan is resumed: what was kept is merged into an empty statistic, and the rest follows.
    resumed = statistic.fresh().merge(again).merge(second.state)
    same(case.numbers(resumed), case.numbers(first.state.merge(second.state)))


def _rest(run: Any, case: Case) -> Any:
    """Return a state of the rows at the end that fill no block."""
    state = case.make()
    for chunk in run.tail:
        state.update(case.design().batch(chunk))
    return state


@pytest.mark.parametrize("name", NAMES)
def test_merging_is_associative(name):
    case = STATISTICS[name]
    if not case.any_cut:
        pytest.skip("sums within a cluster are added in the order of the merges")
    statistic = case.make()
    block = statistic.block_rows
    rows = case.source(2 * block + 500)
    parts = Cut(rows, (block, 2 * block), (1000,)).partitions(block)

    def part(k: int) -> Any:
        return fold_rows(parts[k], False, False, Recipe(case.design(), statistic)).state

    same(case.numbers(part(0).merge(part(1)).merge(part(2))), case.numbers(part(0).merge(part(1).merge(part(2)))))


@pytest.mark.parametrize("name", NAMES)
def test_empty_states_are_small_and_states_travel(name):
    case = STATISTICS[name]
    assert len(pickle.dumps(case.make())) < 2**15
    state = folded(case.source(), case.design(), case.make(), engine=Serial()).state
    if name == "spilled clusters":
        return  # what was spilled stays where it is; only states of single partitions travel
    again = pickle.loads(pickle.dumps(state))
    same(case.numbers(again), case.numbers(state))
