"""What a profile says of columns, the same for any cut, order and number of workers; counts within bounds."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from formula_frames import columns
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import streamreg as sr
from streamreg.design.formula import counts as counting
from streamreg.design.formula.counts import Counts
from streamreg.design.formula.expressions import Name
from streamreg.design.formula.profile import Inquiry, Need, exactly_summed
from streamreg.errors import DataError, NotFound

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(arrays(np.float64, st.integers(0, 40), elements=FLOATS))
def test_sums_are_exact(values):
    assert Fraction(exactly_summed(values), 2**1127) == sum(map(Fraction, values.tolist()), Fraction(0))


@given(arrays(np.float64, st.integers(1, 60), elements=FLOATS), st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_quantiles_are_those_of_numpy(values, fractions):
    found = Counts()
    found.add(values, False, "x")
    found.settle(False, "x")
    ours = found.quantiles(fractions, False)
    with np.errstate(over="ignore", invalid="ignore"):
        theirs = np.quantile(values, fractions)
    finite = np.isfinite(theirs)
    scale = np.abs(values).max()
    with np.errstate(over="ignore", invalid="ignore"):
        assert (np.abs(np.array(ours) - theirs)[finite] <= 1e-12 * scale).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.booleans())
def test_counts_in_bounds_do_not_depend_on_order_or_cuts(seed, parts, whole_numbers):
    rng = np.random.default_rng(seed)
    values = (
        rng.integers(-(2**40), 2**40, 3000) if whole_numbers else rng.lognormal(0, 3, 3000) * rng.choice([-1, 1], 3000)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "MOST_VALUES", 200)
        patch.setattr(counting, "_PENDING", 500)
        states = []
        for order in (np.arange(3000), rng.permutation(3000)):
            pieces = [Counts() for _ in range(parts)]
            for piece, some in zip(pieces, np.array_split(values[order], parts), strict=True):
                for block in np.array_split(some, 7):
                    piece.add(block, False, "x")
            first, *rest = pieces
            for other in rest[::-1]:
                first.merge(other, False, "x")
            first.settle(False, "x")
            states.append(first)
    one, two = states
    np.testing.assert_array_equal(one.keys, two.keys)
    np.testing.assert_array_equal(one.counts, two.counts)
    assert one.shift == two.shift > 0
    assert one.counts.sum() == 3000
    # Ranks at borders are exact: a quantile lies within the values that share its key.
    ours = np.array(one.quantiles([0.1, 0.5, 0.9], False))
    ranks = np.searchsorted(np.sort(values), ours) / 3000
    assert (np.abs(ranks - [0.1, 0.5, 0.9]) <= one.counts.max() / 3000).all()


def test_too_many_levels_are_refused_with_the_column(monkeypatch):
    monkeypatch.setattr(counting, "MOST_LEVELS", 50)
    frame = pd.DataFrame({"id": [f"n{k}" for k in range(60)], "y": np.arange(60.0), "n": np.arange(60)})
    with pytest.raises(DataError, match=r"id: more than 50 levels; absorb it, as in 'y ~ x \| id'"):
        sr.Linear(formula="y ~ id").fit(frame)
    with pytest.raises(DataError, match="n: more than 50 levels"):
        sr.Linear(formula="y ~ C(n)").fit(frame)
    found = sr.profile(frame)
    assert found["id"].distinct is None
    assert found["n"].distinct == 60


def test_levels_count_where_nothing_else_is_missing():
    found = columns(pd.DataFrame({"g": list("abca"), "x": [1.0, 2, np.nan, 6]}))
    inquiry = Inquiry({("g", True): (Name("g"), Need(levels=True))}, ("g", "x"))
    profiles = inquiry.profiles()
    inquiry.absorb(profiles, found)
    assert profiles["g", True].levels() == (["a", "b"], [2, 1])


FRAME = pd.DataFrame(
    {
        "x": np.r_[np.nan, np.random.default_rng(1).normal(size=9_999)],
        "k": np.arange(10_000) % 7,
        "b": np.arange(10_000) % 3 == 0,
        "g": np.where(np.arange(10_000) % 10 < 7, "often", "seldom"),
        "t": pd.Timestamp("2020-01-01 00:00:30") + pd.to_timedelta(np.arange(10_000), unit="h"),
    }
)


def test_a_profile_of_a_table():
    found = sr.profile(FRAME)
    x = FRAME.x.dropna()
    assert (found.rows, found["x"].n, found["x"].missing) == (10_000, 9_999, 1)
    assert (found["x"].low, found["x"].high) == (x.min(), x.max())
    np.testing.assert_allclose([found["x"].mean, found["x"].std], [x.mean(), x.std()], rtol=1e-12)
    np.testing.assert_allclose(found["x"].quartiles, np.quantile(x, [0.25, 0.5, 0.75]), rtol=1e-12)
    assert found["k"].distinct == 7
    assert found["g"].levels == (("often", 7000), ("seldom", 3000))
    assert found["b"].levels == ((False, 6666), (True, 3334))
    assert (found["t"].low, found["t"].high) == ("2020-01-01T00:00:30", "2021-02-20T15:00:30")
    assert "seldom: 3,000" in str(found)
    assert found == sr.profile(FRAME, threads=3)
    assert [c.name for c in sr.profile(FRAME, ["g"]).columns] == ["g"]
    with pytest.raises(NotFound, match="no column 'z'"):
        found["z"]
    with pytest.raises(NotFound, match="no column 'z'"):
        sr.profile(FRAME, ["z"])


def test_a_profile_is_the_same_from_a_file(tmp_path):
    pytest.importorskip("pyarrow")
    FRAME.to_parquet(tmp_path / "a.parquet", row_group_size=1234)
    assert sr.profile(tmp_path / "a.parquet").columns == sr.profile(FRAME).columns


def test_rows_that_come_once_have_a_profile_too():
    rows = np.random.default_rng(0).normal(size=(60, 2))
    found = sr.profile(sr.open(iter([(rows[:30], rows[:30, 0]), (rows[30:], rows[30:, 0])])))
    assert found.rows == 60
    assert found.columns[1].high == rows[:, 1].max()
