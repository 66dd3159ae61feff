"""What users call gives the same bits whoever works on the rows."""

from typing import Any

import numpy as np
import pytest
from cases import NAMES, rows, source
from helpers import Cut

import streamreg as sr
from streamreg.errors import DataError, UsageError
from streamreg.results.predict import predict_to

BORDERS = (2000, 2048, 4500, 7000)


def data(labels: bool = False) -> Cut:
    return Cut(source(labels), BORDERS, (900, 1, 4000))


def _near() -> Cut:
    """Return rows whose columns are so near to each other that a second pass is taken."""
    x, y = rows()
    twin = x[:, 0] + 1e-6 * x[:, 3]
    return Cut(sr.open((np.column_stack([x[:, 0], twin, x[:, 1]]), y)), BORDERS, (1000,))


def _line() -> Any:
    return sr.Linear(features=NAMES[:4]).fit(data())


VERBS = {
    "linear": lambda e: sr.Linear().fit(data(), engine=e),
    "second pass": lambda e: sr.Linear(digits=12).fit(_near(), engine=e),
    "exact": lambda e: sr.Linear(precision="exact").fit(data(), engine=e),
    "HC3": lambda e: sr.robust(_line(), data(), engine=e),
    "clusters": lambda e: sr.robust(_line(), data(), {"cluster": "e"}, engine=e),
    "errors": lambda e: sr.Linear(features=NAMES[:4], errors={"newey_west": 3}).fit(data(), engine=e),
    "logistic": lambda e: sr.Logistic().fit(data(True), engine=e),
    "gaussian": lambda e: sr.Glm(family="gaussian").fit(data(), engine=e),
    "constrained": lambda e: sr.Constrained(restrictions="a = 1").fit(data(), engine=e),
    "iv": lambda e: sr.IV(endogenous=("a",), instruments=("b", "c")).fit(data(), engine=e),
    "penalised": lambda e: sr.Penalised(alphas=5).fit(data(), engine=e),
    "by": lambda e: sr.fit_by(sr.Linear(), data(), "e", engine=e)[3],
}


@pytest.mark.parametrize("name", VERBS)
def test_fits_have_the_same_bits(name, engine):
    expected, found = VERBS[name](None), VERBS[name](engine)
    np.testing.assert_array_equal(found.coef, expected.coef)
    if hasattr(expected, "std_errors"):
        np.testing.assert_array_equal(found.std_errors, expected.std_errors)
    assert found.passes == expected.passes


def test_the_second_pass_is_taken():
    assert VERBS["second pass"](None).passes == 2


def test_scores_predictions_and_comparisons_have_the_same_bits(engine, tmp_path):
    line, all_rows = _line(), data()
    models = {"line": line, "other": sr.Linear(features=NAMES[:2]).fit(all_rows)}
    assert sr.score(models, all_rows, engine=engine).to_dict() == sr.score(models, all_rows).to_dict()
    out = tmp_path / "p.npy"
    assert predict_to(out, line, all_rows, engine=engine).rows == len(rows()[1])
    np.testing.assert_array_equal(np.load(out), line.predict(all_rows))
    one, other = (sr.coefficients(dict(zip(line.names, line.coef + off, strict=True))) for off in (0.0, 1e-4))
    assert sr.compare(one, other, all_rows, engine=engine).to_dict() == sr.compare(one, other, all_rows).to_dict()


def test_rows_of_this_process_are_refused_elsewhere(engine):
    x, y = rows()
    batches = [(x, y)]
    if engine.in_process:
        assert sr.Linear().fit(batches, engine=engine).n == len(y)
        return
    for given in (batches, iter(batches), lambda: iter(batches)):
        with pytest.raises(UsageError, match="made in this process"):
            sr.Linear().fit(given, engine=engine)


def test_keras_trains_in_this_process(engine):
    if engine.in_process:
        return
    with pytest.raises(UsageError, match="Keras trains in this process"):
        sr.Keras().fit(data(), engine=engine)


def test_arrays_of_this_process_travel(engine):
    x, y = rows()
    np.testing.assert_array_equal(sr.Linear().fit((x, y), engine=engine).coef, sr.Linear().fit((x, y)).coef)


def test_a_file_that_is_gone_is_said_in_one_line(engine, tmp_path):
    np.save(tmp_path / "a.npy", rows()[0])
    opened = sr.open(tmp_path / "a.npy", target="x0")
    (tmp_path / "a.npy").unlink()
    with pytest.raises(DataError, match=r"a\.npy.*gone"):
        sr.Linear().fit(opened, engine=engine)
