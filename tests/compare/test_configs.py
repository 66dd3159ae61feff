"""The examples that come with streamreg do what their comments say."""

from pathlib import Path

import numpy as np
import pytest

import streamreg as sr
from streamreg import jobs

CONFIGS = Path(__file__).parents[2] / "configs"
EXAMPLES = sorted(path.name for path in CONFIGS.glob("*.yaml") if path.name not in ("million.yaml", "longley.yaml"))


def fitted(name, *fits):
    """Fit some of a job's models to its data."""
    job = jobs.load(CONFIGS / name)
    source = job.data.open()
    if job.data.held_out:
        source, _ = sr.split(source, job.data.held_out)
    return [job.fits[fit].fit(source) for fit in fits]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_key_is_explained(name):
    lines = (CONFIGS / name).read_text().splitlines()
    seen = set()
    for i, line in enumerate(lines):
        key = line.strip().removeprefix("- ").partition(":")[0]
        if not line.strip() or line.lstrip().startswith(("#", "- [")) or key in seen:
            continue
        above = next(text.strip() for text in reversed(lines[:i]) if text.strip())
        own = line.startswith("  ") and (line[2] != " " or line.startswith("  - "))  # a name of one's own, or a list
        assert above.startswith("#") or own or line in ("data:", "fits:") or key == "kind", f"{name}: {line}"
        seen.add(key)


@pytest.mark.parametrize("name", EXAMPLES)
def test_plans(name):
    plan = jobs.plan(jobs.load(CONFIGS / name))
    assert plan.exists
    assert plan.peak_memory > 0
    assert str(plan)


def test_the_data_are_those_of_the_script(tmp_path):
    space = {"__name__": "make", "__file__": str(CONFIGS / "data" / "make.py")}
    exec((CONFIGS / "data" / "make.py").read_text(), space)
    for name in ("collinear", "ols", "balloons", "answers"):
        table = space[name]()
        stored = np.load(CONFIGS / "data" / f"{name}.npy")
        assert np.array_equal(np.column_stack(list(table.values())).astype(stored.dtype), stored)


def test_ols():
    (fit,) = fitted("ols.yaml", "exact")
    np.testing.assert_allclose([fit.intercept, fit.coef[0]], [2.2, 0.6], rtol=1e-13)


def test_collinear():
    shortest, dropped, through_zero = fitted("collinear.yaml", "shortest", "dropped", "through_zero")
    np.testing.assert_allclose(shortest.coef, [1, 1], rtol=1e-12)
    assert shortest.dependencies == ("x2 = x1 + 1",)
    np.testing.assert_allclose(dropped.coef, [2, np.nan], rtol=1e-12)
    np.testing.assert_allclose(through_zero.coef, [1, 1], rtol=1e-12)
    assert through_zero.identifiable.all()
    trained = sr.coefficients({"intercept": 0.15, "x1": 1.15, "x2": 0.85}, target="y")
    found = sr.compare(shortest, trained)
    assert found.verdict == "agree where identifiable"
    assert "x2 = x1 + 1" in found.reason
    assert sr.compare(shortest, dropped).verdict == "agree where identifiable"
    wrong = sr.coefficients({"x1": 1.15, "x2": 0.85}, target="y")
    assert sr.compare(through_zero, wrong).verdict == "differ"


def test_balloons():
    line, logistic = fitted("balloons.yaml", "line", "logistic")
    np.testing.assert_allclose(line.coef, [0.15, 0.0, 0.9], atol=0.02)
    assert logistic.status == "ok"
    assert abs(logistic.tvalues[1]) < 3
    assert logistic.tvalues[[0, 2]].min() > 10


def test_answers():
    party, content = fitted("answers.yaml", "party", "content")
    assert (party.base, party.classes) == ("2", ("1", "2", "3"))
    truth = np.array([[-0.5 / 15, 0.0], [-0.8 / 15, 0.8 / 20]])
    errors = party.std_errors.reshape(2, 3)[:, 1:]
    assert (np.abs(party.slopes - truth) < 4 * errors).all()
    assert (np.abs(content.slopes - [0.2 / 15, 0.6 / 20]) < 4 * content.std_errors[:2]).all()
    assert (np.diff(content.thresholds) > 0).all()


@pytest.mark.keras
@pytest.mark.parametrize("name", ["ols.yaml", "collinear.yaml"])
def test_training_arrives(name):
    result = jobs.run_job(CONFIGS / name, progress=False)
    assert all(result.comparisons), str(result)
    if name == "ols.yaml":
        np.testing.assert_allclose(result.fits["keras"].coef, 0.6, rtol=1e-5)
        np.testing.assert_allclose(result.fits["keras"].intercept, 2.2, rtol=1e-5)
        return
    trained, zero = result.fits["trained"], result.fits["trained_through_zero"]
    assert trained.coef.sum() == pytest.approx(2, abs=1e-6)
    assert abs(trained.coef[0] - 1) > 0.01
    np.testing.assert_allclose(zero.coef, [1, 1], atol=1e-4)


@pytest.mark.keras
@pytest.mark.slow
def test_a_network_pays():
    result = jobs.run_job(CONFIGS / "balloons.yaml", progress=False)
    squares, labels = result.scores
    assert squares.gains[0].verdict == labels.gains[0].verdict == "worth it"
    assert squares["network"].explained > 0.98
    assert squares["line"].explained < 0.9
    assert labels["logistic_network"].accuracy > labels["logistic"].accuracy + 0.05
    assert 1100 < squares.n < 1400
    assert "worth it" in str(result)
