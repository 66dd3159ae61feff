"""Parts of dates equal those of pandas, in any zone and unit; dates as numbers keep their digits."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from formula_frames import Survey, columns, schema
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreg.design.formula import dates
from streamreg.design.formula.functions import DATES
from streamreg.design.formula.grammar import parse
from streamreg.design.formula.passes import learn
from streamreg.errors import DataError, UsageError
from streamreg.kernels.gram import NAT

ZONES = [None, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"]


def by_pandas(function, times, zone):
    index = pd.DatetimeIndex(times)
    if zone is not None:
        index = index.tz_localize("UTC").tz_convert(zone)
    name = {"dayofyear": "day_of_year", "weekday": "day_of_week"}.get(function, function)
    return getattr(index, name).to_numpy()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parts_equal_those_of_pandas(zone, unit):
    rng = np.random.default_rng(0)
    times = (rng.integers(-(10**9), 3 * 10**9, 3000) * 10 ** {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]).astype(
        f"M8[{unit}]"
    )
    # Each half hour of days on which clocks change, or a day is left out.
    for day in ("2024-03-31", "2024-10-27", "2011-12-30", "2024-04-06", "1986-01-01"):
        start = np.datetime64(day, "s") - np.timedelta64(36, "h")
        times = np.concatenate([times, (start + np.arange(0, 4 * 86400, 1800)).astype(times.dtype)])
    for function in DATES:
        np.testing.assert_array_equal(
            dates.part(function, times, zone), by_pandas(function, times, zone), err_msg=function
        )


def test_days_weeks_and_missing_times():
    times = np.array(["2024-02-29", "NaT", "1969-12-31"], "M8[D]")
    assert dates.part("dayofyear", times, None).tolist() == [60, NAT, 365]
    assert dates.part("weekday", times, None).tolist() == [3, NAT, 2]
    assert dates.part("hour", times, None).tolist() == [0, NAT, 0]
    assert dates.part("year", np.array(["NaT"], "M8[ns]"), "Europe/Berlin").tolist() == [NAT]
    assert dates.part("year", np.array([], "M8[ns]"), "Europe/Berlin").tolist() == []


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20), st.sampled_from(["ns", "us", "ms"]))
def test_times_as_numbers_keep_32_digits(values, unit):
    high, low = dates.since_epoch(np.array(values, "i8").view(f"M8[{unit}]"))
    per = 86400 * {"ns": 10**9, "us": 10**6, "ms": 10**3}[unit]
    for value, one, two in zip(values, high.tolist(), low.tolist(), strict=True):
        exact = Fraction(value, per)
        assert abs(Fraction(one) + Fraction(two) - exact) <= abs(exact) * Fraction(1, 2**100)


def test_a_zone_or_year_that_does_not_exist_is_refused():
    times = np.array(["2024-01-01"], "M8[s]")
    with pytest.raises(UsageError, match="no time zone 'Europe/Berlim'"):
        dates.part("hour", times, "Europe/Berlim")
    with pytest.raises(UsageError, match="no time zone"):
        dates.part("hour", times, "../../etc/passwd")
    with pytest.raises(DataError, match="years 1 to 9999"):
        dates.part("hour", np.array(["20000-01-01"], "M8[s]"), "Europe/Berlin")
    assert dates.part("year", np.array(["20000-01-01"], "M8[s]"), None).tolist() == [20000]


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from(ZONES))
def test_terms_of_dates(seed, zone):
    rng = np.random.default_rng(seed)
    times = (rng.integers(0, 2 * 10**9, 60) * 10**9).astype("M8[ns]")
    times[7] = np.datetime64("NaT")
    found = {"t": times}
    zones = {} if zone is None else {"t": zone}
    encoder = learn(parse("C(month(t)) + hour(t) + I(year(t) - 2000) + t"), schema(found, zones), Survey(found))
    high, _ = encoder.design(found, zones)
    known = ~np.isnat(times)
    months = by_pandas("month", times[known], zone)
    levels = sorted(set(months.tolist()))
    assert encoder.features == (
        *(f"C(month(t))[T.{level}]" for level in levels[1:]),
        "hour(t)",
        "I(year(t) - 2000)",
        "t",
    )
    np.testing.assert_array_equal(high[known, : len(levels) - 1], months[:, None] == levels[1:])
    np.testing.assert_array_equal(high[known, -3], by_pandas("hour", times[known], zone))
    np.testing.assert_array_equal(high[known, -2], by_pandas("year", times[known], zone) - 2000)
    np.testing.assert_array_equal(high[known, -1], times[known].astype(np.int64) / 86400e9)
    assert np.isnan(high[7]).all()


def test_days_are_categories_too():
    found = columns(pd.DataFrame({"x": [1.0, 2, 3]})) | {
        "d": np.array(["2024-01-03", "2024-01-02", "2024-01-03"], "M8[D]")
    }
    encoder = learn(parse("C(d) + I(d - 19000)"), schema(found), Survey(found))
    assert encoder.features == ("C(d)[T.2024-01-03]", "I(d - 19000)")
    np.testing.assert_array_equal(encoder.design(found)[0], [[1, 725], [0, 724], [1, 725]])
    finer = {"d": found["d"].astype("M8[ns]")}
    np.testing.assert_array_equal(encoder.design(finer)[0][:, 0], [1, 0, 1])
    with pytest.raises(DataError, match="2025-01-01"):
        encoder.design({"d": np.array(["2025-01-01"], "M8[D]")})


@pytest.mark.parametrize(
    "text", ["hour(x)", "hour(g)", "hour(hour(t))", "log(g)", "x:log(g)", "C(x):center(g)", "I(poly(x, 2))"]
)
def test_types_are_checked_before_rows_are_read(text):
    found = columns(pd.DataFrame({"x": [1.0, 2, 3], "g": list("aba")})) | {"t": np.array([1, 2, 3], "M8[s]")}
    with pytest.raises(UsageError):
        learn(parse(text), schema(found), None)
