"""What holds for the results of every kind: they print in a line, are themselves and nothing else, and travel."""

import copy
import pickle

import numpy as np
import pytest

import streamreg as sr

RNG = np.random.default_rng(3)
X = RNG.standard_normal((600, 3))
Y = X @ [1.0, 2.0, 3.0] + RNG.standard_normal(600)
LEVELS = np.column_stack([X, np.arange(600) % 3])
FIT = sr.Linear().fit((X, Y))
RESULTS = {
    "fit": FIT,
    "candidates": sr.Penalised().fit((X, Y)),
    "groups": sr.fit_by(sr.Linear(), (LEVELS, Y), by="x3"),
    "replicates": sr.jackknife(sr.Linear(), sr.scan((X, Y), blocks=10)),
    "comparison": sr.compare(FIT, sr.Linear(ridge=1.0).fit((X, Y))),
    "comparisons": sr.compare(FIT, sr.Linear(ridge=1.0).fit((X, Y)), sr.Linear(precision="exact").fit((X, Y))),
    "scorecard": sr.score({"line": FIT}, (X, Y)),
    "conditioning": FIT.conditioning(),
    "test": sr.wald_test(FIT, "x0 = 1, x1 = 2"),
}
MODELS = {
    "float64": {},
    "exact": {"precision": "exact"},
    "folds": {"folds": 3},
    "exact folds": {"precision": "exact", "folds": 3},
}


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_a_result_prints_in_a_line_where_it_is_looked_at(result):
    assert repr(result).startswith(f"<{type(result).__name__}") or repr(result).startswith("<jackknife")
    assert len(repr(result)) < 160
    assert "\n" not in repr(result)
    assert "array(" not in str(result)


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_a_result_equals_itself_and_travels(result):
    again = pickle.loads(pickle.dumps(result))
    assert (result == result) is True
    assert result in (again, result)
    assert str(copy.deepcopy(result)) == str(again) == str(result)


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_a_state_travels(options):
    state = sr.scan((X, Y), **options)
    for again in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state)):
        assert all(
            np.array_equal(a, b) for a, b in zip(state.to_arrays().values(), again.to_arrays().values(), strict=True)
        )
        again.merge(copy.deepcopy(state))  # still takes more rows
        assert again.n == 2 * state.n
