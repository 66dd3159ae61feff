"""Jobs whose fits choose one line out of many, and fits that share one pass."""

import numpy as np
import pytest

import streamreg as sr
from streamreg import jobs
from streamreg.errors import ConfigError
from streamreg.sources.stored.table import TableSource

TEXT = """\
data:
  path: rows.npy
  target: y
  generate: {rows: 3000, columns: 8, seed: 3, correlation: 0.5}
fits:
  lasso: {kind: penalised, rule: one_standard_error, folds: 5, seed: 2, standardise: true}
  few: {kind: subsets, rule: bic, size: 4}
  best: {kind: penalised, l1_ratio: 0.5, alphas: 20}
  tied: {kind: constrained, restrictions: "x0 = x1"}
output: {folder: out}
"""


@pytest.fixture
def counted_reads(monkeypatch):
    """Every pass over a source, by the name of what it read."""
    reads = []
    whole = TableSource.partitions

    def partitions(self, *options):
        reads.append(self.label)
        return whole(self, *options)

    monkeypatch.setattr(TableSource, "partitions", partitions)
    return reads


def job(folder, text=TEXT):
    (folder / "job.yaml").write_text(text)
    return jobs.load(folder / "job.yaml")


def test_a_job_chooses_what_the_python_interface_chooses(tmp_path):
    result = jobs.run(job(tmp_path), progress=False)
    data = sr.open(tmp_path / "rows.npy", target="y")
    folds = sr.scan(data, folds=5, seed=2)
    path = sr.Penalised(standardise=True).cross_validate(folds)
    expected = {
        "lasso": path.candidate(path.one_standard_error()),
        "few": (found := sr.Subsets(size=4).fit(data)).candidate(found.best("bic")),
        "best": sr.Penalised(l1_ratio=0.5, alphas=20).cross_validate(sr.scan(data, folds=10)).candidate(),
        "tied": sr.Constrained(restrictions="x0 = x1").fit(data),
    }
    for name, fit in expected.items():
        np.testing.assert_allclose(result.fits[name].coef, fit.coef, rtol=1e-9, atol=1e-12)
        saved = sr.FitResult.load(tmp_path / "out" / f"{name}.npz")
        np.testing.assert_array_equal(saved.coef, result.fits[name].coef)
    assert np.isnan(result.fits["lasso"].std_errors).all()
    assert result.fits["lasso"].training["candidate"] == path.label(path.one_standard_error())
    model = result.fits["lasso"].model
    assert (model["kind"], model["rule"], model["folds"]) == ("penalised", "one_standard_error", 5)


def test_a_plan_says_the_kinds_of_a_job_file(tmp_path):
    steps = jobs.plan(job(tmp_path)).fits
    assert [step.kind for step in steps] == ["penalised", "subsets", "penalised", "constrained"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("folds: 5", "folds: 1", "fits.lasso.folds is 1; it should be greater than or equal to 2"),
        ("rule: bic", "rule: biggest", "fits.few.rule is 'biggest'"),
        ("size: 4", "sise: 4", "fits.few: no option 'sise'; did you mean 'size'?"),
        ("alphas: 20", "alphas: 0", "fits.best.alphas"),
    ],
)
def test_mistakes_are_found_on_their_line(tmp_path, old, new, message):
    with pytest.raises(ConfigError) as caught:
        job(tmp_path, TEXT.replace(old, new))
    line = 1 + TEXT[: TEXT.index(old)].count("\n")
    assert str(caught.value).startswith(f"{tmp_path / 'job.yaml'}, line {line}: ")
    assert message in str(caught.value)


MIXED = """\
data: {path: rows.npy, target: y}
fits:
  exact: {kind: linear, digits: 13}
  some: {kind: linear, features: [x1, x4], ridge: 0.5}
  lasso: {kind: penalised, folds: 4}
  tied: {kind: constrained, restrictions: "x0 = x1"}
  other: {kind: linear, target: x2}
  gaps: {kind: linear, missing: drop}
  curved: {kind: linear, powers: {x1: 2}}
  exactly: {kind: linear, precision: exact}
  again: {kind: penalised, folds: 7}
"""


def test_fits_of_the_same_rows_share_one_pass(tmp_path, counted_reads):
    sr.generate(tmp_path / "rows.npy", rows=4000, columns=6, seed=1)
    rows = np.load(tmp_path / "rows.npy")
    rows[:, 3] = rows[:, 2] + 1e-2 * rows[:, 3]  # so that 13 digits take a second pass
    np.save(tmp_path / "rows.npy", rows)
    loaded = job(tmp_path, MIXED)
    plan = jobs.plan(loaded)
    assert plan.shared == ("exact", "some", "lasso", "tied")
    counted_reads.clear()
    result = jobs.run(loaded, progress=False)
    apart = {"other": 1, "gaps": 1, "curved": 1, "exactly": 1, "again": 1}
    assert result.fits["exact"].passes == 2
    assert result.passes == len(counted_reads) == 1 + 1 + sum(result.fits[name].passes for name in apart)
    assert result.passes <= plan.passes
    data = sr.open(tmp_path / "rows.npy", target="y")
    for name, model in loaded.fits.items():
        alone = model.fit(data)
        assert result.fits[name].source == alone.source
        np.testing.assert_allclose(result.fits[name].coef, alone.coef, rtol=1e-7, atol=1e-9)
        assert (result.fits[name].n, result.fits[name].method) == (alone.n, alone.method)


def test_a_single_fit_reads_its_own_columns(tmp_path):
    text = "data: {path: rows.npy, target: y}\nfits:\n  one: {kind: linear, features: [x1]}\n"
    sr.generate(tmp_path / "rows.npy", rows=500, columns=3, seed=1)
    assert jobs.plan(job(tmp_path, text)).shared == ()


@pytest.mark.keras
def test_training_begins_with_the_shared_moments(tmp_path):
    text = "data: {path: rows.npy, target: y}\nfits:\n  exact: {kind: linear}\n  keras: {kind: keras}\n"
    sr.generate(tmp_path / "rows.npy", rows=2000, columns=4, seed=1)
    result = jobs.run(job(tmp_path, text), progress=False)
    alone = sr.Keras().fit(sr.open(tmp_path / "rows.npy", target="y"), progress=False)
    assert result.fits["keras"].passes == alone.passes
    assert result.passes == alone.passes
    np.testing.assert_array_equal(result.fits["keras"].coef, alone.coef)
