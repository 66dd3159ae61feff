"""Jobs with a line for each level of a column."""

import csv
import json
import re

import numpy as np
import pytest

import streamreg as sr
from streamreg import jobs
from streamreg.cli import main
from streamreg.errors import ConfigError, DataError, NonFiniteError, NotFound, UsageError
from streamreg.sources.stored.table import TableSource

RNG = np.random.default_rng(6)
N = 4000
X = RNG.standard_normal((N, 3)) + 1
REGION = RNG.integers(-1, 6, N)
Y = X @ [1.0, 2.0, 3.0] + 0.2 * REGION * X[:, 0] + RNG.standard_normal(N)
TABLE = np.column_stack([X, REGION, Y])

TEXT = """\
data:
  path: rows.npy
  target: y
  columns: [a, b, c, region, y]
fits:
  all: {kind: linear}
  by_region:
    kind: linear
    by: region
output: {folder: out}
"""


@pytest.fixture
def reads(monkeypatch):
    """Every pass over a source."""
    seen = []
    whole = TableSource.partitions
    monkeypatch.setattr(TableSource, "partitions", lambda self, *o: seen.append(self.label) or whole(self, *o))
    return seen


def job(folder, text=TEXT, table=TABLE):
    np.save(folder / "rows.npy", table)
    (folder / "job.yaml").write_text(text)
    return folder / "job.yaml"


def alone(level, **options):
    mine = level == REGION
    return sr.Linear(**options).fit((X[mine], Y[mine]))


@pytest.mark.parametrize("options", [{}, {"ridge": 0.5, "intercept": False}, {"precision": "exact"}])
@pytest.mark.parametrize("beside", [True, False])
def test_each_level_has_the_fit_of_its_rows_alone(tmp_path, options, beside):
    text = TEXT.replace("    kind: linear", f"    <<: {json.dumps(options)}\n    kind: linear")
    text = text if beside else text.replace("  all: {kind: linear}\n", "")
    found = sr.run_job(job(tmp_path, text)).fits["by_region"]
    assert list(found) == list(range(-1, 6))
    for level, fit in found.items():
        own = alone(level, **options)
        assert fit.names == ("a", "b", "c")
        np.testing.assert_allclose(fit.coef, own.coef, rtol=1e-10)
        np.testing.assert_allclose(fit.std_errors, own.std_errors, rtol=1e-9)
        np.testing.assert_allclose([fit.intercept, fit.rss], [own.intercept, own.rss], rtol=1e-9)
        assert (fit.n, fit.passes) == (own.n, 1)


def test_fits_of_all_rows_share_the_pass_and_keep_the_column_as_a_feature(tmp_path, reads):
    more = """\
  few: {kind: linear, by: region, features: [b]}
  lasso: {kind: penalised, rule: bic}
  tied: {kind: constrained, restrictions: "a = b"}
  half: {kind: linear, by: c}
output"""
    text = TEXT.replace("output", more)
    table = TABLE.copy()
    table[:, 2] = table[:, 2] > 1
    loaded = jobs.load(job(tmp_path, text, table))
    plan = jobs.plan(loaded)
    assert plan.shared == ("all", "by_region", "few", "lasso", "tied")
    reads.clear()
    result = jobs.run(loaded, progress=False)
    assert len(reads) == result.passes == 2
    data = sr.open(table, columns=["a", "b", "c", "region", "y"], target="y")
    assert result.fits["all"].names == ("a", "b", "c", "region")
    for name in ("all", "tied", "lasso"):
        np.testing.assert_allclose(result.fits[name].coef, loaded.fits[name].fit(data).coef, rtol=1e-9, atol=1e-12)
    for name in ("by_region", "few", "half"):
        apart = loaded.fits[name].fit(data)
        assert result.fits[name].pooled.names == apart.pooled.names
        np.testing.assert_allclose(result.fits[name].coef, apart.coef, rtol=1e-9)


@pytest.mark.parametrize(
    ("fits", "shared"),
    [
        ("{l: {by: region, features: [a]}, x: {features: [a]}, y: {features: [b]}}", ("l", "x")),
        ("{l: {by: region, features: [a]}, x: {}, y: {features: [b]}}", ("x", "y")),
        ("{l: {by: region, features: [a]}, x: {features: [region, a]}}", ("l", "x")),
        ("{l: {by: region}, m: {by: c}}", ()),
        ("{l: {by: region, missing: drop}, m: {by: region}}", ()),
    ],
)
def test_only_fits_of_columns_that_levels_have_anyway_share_their_pass(tmp_path, fits, shared):
    kinds = (
        fits.replace(": {b", ": {kind: linear, b").replace(": {f", ": {kind: linear, f").replace("{}", "{kind: linear}")
    )
    text = f"{TEXT[: TEXT.index('fits:')]}fits: {kinds}\n"
    assert jobs.plan(jobs.load(job(tmp_path, text))).shared == shared


def test_what_is_written_is_a_table_moments_and_a_report(tmp_path, capsys):
    path = job(tmp_path)
    assert main(["run", str(path), "--rows", "2"]) == 0
    printed = capsys.readouterr().out
    assert "by_region: a line for each region" in printed
    assert "and 5 more groups" in printed
    assert "Chow test: F = " in printed
    fits = sr.fit_by(sr.Linear(), tmp_path / "out" / "by_region.moments")
    with (tmp_path / "out" / "by_region.csv").open(newline="") as file:
        lines = {int(line["level"]): line for line in csv.DictReader(file)}
    assert list(lines) == list(fits)
    for level, fit in fits.items():
        line = lines[level]
        assert (int(line["rows"]), line["status"]) == (fit.n, "ok")
        np.testing.assert_allclose([float(line[f"coef {n}"]) for n in "abc"], fit.coef, rtol=1e-12)
        np.testing.assert_allclose([float(line[f"std_error {n}"]) for n in "abc"], fit.std_errors, rtol=1e-9)
        np.testing.assert_allclose(float(line["coef (intercept)"]), fit.intercept, rtol=1e-9)
        own = alone(level)
        np.testing.assert_allclose(fit.coef, own.coef, rtol=1e-10)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    brief = report["fits"]["by_region"]
    assert (brief["by"], brief["levels"], brief["statuses"]) == ("region", 7, {"ok": 7})
    assert brief["first_levels"]["-1"]["n"] == int((REGION == -1).sum())
    assert brief["chow"]["df_num"] == 6 * 4
    names = [f.name for f in (tmp_path / "out").iterdir()]
    assert sorted(names) == ["all.npz", "by_region.csv", "by_region.moments", "report.json"]
    assert {p.rpartition("/")[2] for p in report["outputs"]} == set(names)


def test_thousands_of_levels_make_a_short_report(tmp_path, capsys):
    table = TABLE.copy()
    table[:, 3] = np.arange(N) // 2
    assert (
        main(["run", str(job(tmp_path, TEXT.replace("    by: region", "    by: region\n    features: [a]"), table))])
        == 0
    )
    assert len(capsys.readouterr().out.splitlines()) < 60
    assert (tmp_path / "out" / "report.json").stat().st_size < 30_000
    assert len((tmp_path / "out" / "by_region.csv").read_text().splitlines()) == N // 2 + 1


def test_a_level_with_fewer_rows_than_coefficients(tmp_path):
    table = TABLE.copy()
    table[5:7, 3] = 77
    path = job(tmp_path, table=table)
    result = sr.run_job(path)
    found = result.fits["by_region"]
    assert found.short == {77: 2}
    assert found.status == "dependent (1 of 8)"
    assert np.isnan(found[77].std_errors).all()
    assert "do not determine the line: region 77 (2 of them)" in " ".join(str(result).split())
    report = json.loads((tmp_path / "out" / "report.json").read_text())["fits"]["by_region"]
    assert report["fewer_rows_than_coefficients"] == {"77": 2}
    line = (tmp_path / "out" / "by_region.csv").read_text().splitlines()[-1]
    assert line.startswith("77,2,dependent,")
    assert line.endswith(",")
    text = TEXT.replace("    by: region", "    by: region\n    singular: error")
    (failure,) = sr.run_job(job(tmp_path, text, table)).failures
    assert re.search(r"line 7: fits\.by_region: .*region = 77: 2 rows do not determine 4 coeff", failure.reason)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("    by: region", "    by: [region]", 9, "fits.by_region.by is ['region']; it should be a valid string"),
        ("    by: region", "    by: 3", 9, "fits.by_region.by is 3; it should be a valid string"),
        ("    by: region", "    by:", 9, "fits.by_region.by is None"),
        ("    by: region", "    by: region\n    memory: 3", 10, "no option 'memory'; did you mean 'memory_mb'?"),
        (
            "    by: region",
            "    by: region\n    memory_mb: 0",
            10,
            "memory_mb is 0; it should be greater than or equal",
        ),
        ("    by: region", "    by: region\n    rigde: 1", 10, "no option 'rigde'; did you mean 'ridge'?"),
        ("    by: region", "    by: region\n    model: 1", 10, "no option 'model'"),
        ("    by: region", "    by: region\n    errors: HC1", 7, "classical errors only; leave errors out"),
        ("    by: region", "    by: region\n    device: gpu", 7, "leave out device, or by"),
        (
            "    by: region",
            "    by: region\n    features: [a, region]",
            7,
            "'region' is the same in all rows of a level",
        ),
        (
            "linear\n    by",
            "multinomial\n    by",
            9,
            "fits by level are of kinds linear, glm and logistic, and this is multi",
        ),
        ("linear\n    by", "penalised\n    by", 9, "no option 'by'"),
        ("output:", "compare: [[all, by_region]]\noutput:", 10, "'by_region' is a line for each level, and to compare"),
        ("output:", "score: [[by_region]]\noutput:", 10, "'by_region' is a line for each level, and to score"),
    ],
)
def test_mistakes_are_found_on_their_line_before_anything_is_read(tmp_path, old, new, line, message):
    assert old in TEXT
    path = job(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        jobs.load(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("new", "error", "message"),
    [
        ("by: regoin", NotFound, r"rows\.npy: no column 'regoin'; did you mean 'region'\?"),
        ("by: y", UsageError, "column 'y' is the target and cannot say which group a row is in"),
    ],
)
def test_a_plan_finds_columns_that_cannot_be_levels(tmp_path, new, error, message):
    path = job(tmp_path, TEXT.replace("by: region", new))
    for task in (jobs.plan, jobs.run):
        with pytest.raises(error, match=rf"job\.yaml, line 7: fits\.by_region: .*{message}"):
            task(jobs.load(path))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [(0.5, DataError, "0.5 does not name a group"), (np.nan, NonFiniteError, "NaN"), (1e300, DataError, "1e\\+300")],
)
def test_levels_that_are_no_whole_numbers_are_named_by_row_and_column(tmp_path, value, error, message, beside):
    table = TABLE.copy()
    table[1234, 3] = value
    text = TEXT.replace("{kind: linear}", "{kind: linear, features: [a]}")
    path = job(tmp_path, text if beside else text.replace("  all: {kind: linear, features: [a]}\n", ""), table)
    line = 7 if beside else 6
    words = rf"line {line}: fits\.by_region: .*row 1,234 \(from 0\), column 'region': {message}"
    if beside:
        result = sr.run_job(path)
        assert re.search(words, result.failures[0].reason)
        assert (result.exit_code, list(result.fits)) == (3, ["all"])
    else:
        with pytest.raises(error, match=words):
            sr.run_job(path)


def test_too_many_levels_for_memory(tmp_path):
    table = TABLE.copy()
    table[:, 3] = np.arange(N)
    text = TEXT.replace("    by: region", "    by: region\n    memory_mb: 1")
    result = sr.run_job(job(tmp_path, text, table))
    assert re.search(r"line 7: fits\.by_region: .* need more than 1 MiB.*; raise memory", result.failures[0].reason)
    assert (result.exit_code, list(result.fits)) == (2, ["all"])
    found = jobs.plan(jobs.load(tmp_path / "job.yaml")).levels
    assert [(at.name, at.by, at.memory) for at in found] == [("by_region", "region", 2 * 2**20)]
    assert 100 < found[0].room < 300
    assert "up to about" in str(jobs.plan(jobs.load(tmp_path / "job.yaml")))


def test_powers_weights_gaps_and_rows_held_out(tmp_path):
    table = np.column_stack([TABLE, RNG.uniform(1, 2, N)])
    table[7, 0] = np.nan
    text = TEXT.replace("y]", "y, w]").replace("target: y", "target: y\n  weights: w\n  held_out: 0.5")
    text = text.replace("    by: region", "    by: region\n    missing: drop\n    powers: {b: 2}")
    text = text.replace("  all: {kind: linear}\n", "")
    found = sr.run_job(job(tmp_path, text, table)).fits["by_region"]
    train, _ = sr.split(sr.open(table, columns=[*"abc", "region", "y", "w"], target="y", weights="w"), 0.5)
    own = sr.fit_by(sr.Linear(missing="drop", powers={"b": 2}), train, "region")
    assert found.pooled.names == ("a", "b", "b^2", "c")
    np.testing.assert_array_equal(found.coef, own.coef)
    assert 1500 < found.pooled.n < 2500


def test_features_of_the_data_leave_the_level_out_of_its_lines(tmp_path):
    text = TEXT.replace("  target: y", "  target: y\n  features: [a, c, region]")
    result = sr.run_job(job(tmp_path, text))
    assert result.fits["by_region"].pooled.names == ("a", "c")
    assert result.fits["all"].names == ("a", "c", "region")
    assert sr.fit_by(sr.Linear(), tmp_path / "out" / "by_region.moments").pooled.names == ("a", "c")
