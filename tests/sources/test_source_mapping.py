"""Columns in memory of any type: numbers keep their digits, text and dates name groups, what is missing is seen."""

from typing import Any

import numpy as np
import pytest

import streamreg as sr
from streamreg.sources.chunk import Chunk, Coded

N = 5000
RNG = np.random.default_rng(5)
X = RNG.normal(size=(N, 3))
GROUP = RNG.integers(0, 4, N)
Y = X @ [1.0, -2.0, 0.5] + RNG.normal(size=N)
COLUMNS: dict[str, Any] = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": Y}
TEXT = np.array(["oslo", "rome", "bern", "paris"])[GROUP]


def test_columns_give_the_bits_of_a_matrix() -> None:
    for options in ({}, {"precision": "exact"}, {"errors": "HC1"}, {"powers": {"b": 3}}):
        model = sr.Linear(**options)
        columns, matrix = model.fit(sr.open(COLUMNS, target="y")), model.fit(sr.open((X, Y), columns=["a", "b", "c"]))
        np.testing.assert_array_equal(columns.coef, matrix.coef)
        np.testing.assert_array_equal(columns.std_errors, matrix.std_errors)
        assert columns.names[:2] == ("a", "b")


def test_large_integers_keep_their_digits_beside_floats() -> None:
    whole = RNG.integers(0, 1000, N) + 2**53 + 1  # odd ones are no float64
    y = Y + 0.5 * (whole - 2**53)
    data = sr.open({**COLUMNS, "whole": whole, "y": y}, target="y")
    shifted = sr.Linear(precision="exact").fit((np.column_stack([X, whole - 2**53]), y))
    for precision in ("float64", "exact"):
        fit = sr.Linear(precision=precision).fit(data)
        np.testing.assert_allclose(fit.coef[3], shifted.coef[-1], rtol=1e-12)
        np.testing.assert_allclose(fit.std_errors[3], shifted.std_errors[-1], rtol=1e-9)


def test_text_and_dates_name_groups_and_clusters() -> None:
    days = np.array(["2024-01-01", "2024-01-02", "2024-02-01", "2025-01-01"], "M8[D]")[GROUP]
    data = sr.open({**COLUMNS, "town": TEXT, "day": days, "number": GROUP}, target="y")
    model = sr.Linear(features=("a", "b", "c"))
    by = {name: sr.fit_by(model, data, by=name) for name in ("town", "day", "number")}
    assert sorted(by["town"]) == ["bern", "oslo", "paris", "rome"]
    assert sorted(by["day"]) == ["2024-01-01", "2024-01-02", "2024-02-01", "2025-01-01"]
    np.testing.assert_array_equal(by["town"]["bern"].coef, by["number"][2].coef)
    np.testing.assert_array_equal(by["day"]["2025-01-01"].coef, by["number"][3].coef)
    errors = [
        sr.Linear(features=("a", "b", "c"), errors={"cluster": [k]}).fit(data).std_errors
        for k in ("town", "day", "number")
    ]
    np.testing.assert_allclose(errors[0], errors[2], rtol=1e-13)
    np.testing.assert_allclose(errors[1], errors[2], rtol=1e-13)


def test_groups_by_text_are_saved_and_merged(tmp_path: Any) -> None:
    options: dict[str, Any] = {"features": ("a", "b", "c"), "by": "town"}
    whole = sr.scan(sr.open({**COLUMNS, "town": TEXT}, target="y"), **options)
    whole.save(tmp_path / "a.moments")
    again = sr.fit_by(sr.Linear(), tmp_path / "a.moments")
    assert sorted(again) == ["bern", "oslo", "paris", "rome"]


def test_missing_text_leaves_a_row_out_or_is_refused() -> None:
    holes = TEXT.astype(object)
    holes[7] = None
    data = sr.open({**COLUMNS, "town": holes}, target="y")
    model = sr.Linear(features=("a", "b", "c"))
    with pytest.raises(sr.DataError, match=r"row 7 .*column 'town'"):
        sr.fit_by(model, data, by="town")
    fits = sr.fit_by(sr.Linear(features=("a", "b", "c"), missing="drop"), data, by="town")
    assert sum(fit.n for fit in fits.values()) == N - 1


def test_what_is_not_a_number_is_refused_only_when_it_is_used() -> None:
    data = sr.open({**COLUMNS, "town": TEXT, "day": np.full(N, np.datetime64("2024-01-01"))})
    sr.Linear(features=("a",), target="y").fit(data)
    with pytest.raises(sr.DataError, match="column 'town' holds text"):
        sr.Linear(target="y").fit(data)
    with pytest.raises(sr.DataError, match="column 'day' holds dates"):
        sr.Linear(target="day", features=("a",)).fit(data)


def test_odd_mappings_are_refused() -> None:
    with pytest.raises(sr.DataError, match="'a' has 1 rows and 'b' has 2"):
        sr.open({"a": [1.0], "b": [1.0, 2.0]})
    with pytest.raises(sr.DataError, match="one dimension"):
        sr.open({"a": [[1.0]]})
    with pytest.raises(sr.DataError, match=r"row 1 .* a float, among texts"):
        sr.open({"a": ["x", 2.0]})
    with pytest.raises(sr.DataError, match="no columns"):
        sr.open({})


def test_levels_of_chunks_are_joined() -> None:
    a = Coded(np.array([0, 1, -1], np.int32), ("x", "y"))
    b = Coded(np.array([0, 1, 2], np.int32), ("z", "y", "x"))
    none = np.empty((3, 0))
    whole = Chunk.joined([Chunk(0, none, (), {"t": a}), Chunk(3, none, (), {"t": b})])
    text = whole.column("t")
    assert isinstance(text, Coded)
    assert text.texts() == ["x", "y", None, "z", "y", "x"]
    assert whole.cut(1, 4).owned().vectors["t"].texts() == ["y", None, "z"]  # type: ignore[union-attr]
