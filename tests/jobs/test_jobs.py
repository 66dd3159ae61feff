"""Job files: what they may say, what is said about their mistakes, what they do."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import streamreg as sr
from streamreg import jobs
from streamreg.cli import main
from streamreg.errors import ConfigError, DataError, UsageError
from streamreg.jobs.document import read

ROOT = Path(__file__).parents[2]

SMALL = """\
data:
  path: rows.npy
  target: y
  generate:
    rows: 2000
    columns: 5
    seed: 3
    correlation: 0.5
fits:
  exact:
    kind: linear
  ridge:
    kind: linear
    ridge: 1e-4
  few: {kind: linear, features: [x0, x3]}
compare:
  - [exact, ridge]
  - fits: [ridge, exact]
    tolerance: 1e9
output:
  folder: out
"""


@pytest.fixture
def small(tmp_path):
    (tmp_path / "job.yaml").write_text(SMALL)
    return tmp_path / "job.yaml"


def write(folder, text):
    (folder / "job.yaml").write_text(text)
    return folder / "job.yaml"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("path: rows.npy", "pth: rows.npy", 2, "data: no option 'pth'; did you mean 'path'? (and 1 more)"),
        ("path: rows.npy", "", 1, "data.path is missing; it must be given"),
        ("    rows: 2000", "    rosw: 2000", 5, "data.generate: no option 'rosw'; did you mean 'rows'? (and 1 more)"),
        ("    seed: 3", "    sead: 3", 7, "data.generate: no option 'sead'; did you mean 'seed'?"),
        ("rows: 2000", "rows: many", 5, "data.generate.rows is 'many'; it should be a valid integer"),
        ("rows: 2000", "rows: 0", 5, "data.generate.rows is 0; it should be greater than 0"),
        ("correlation: 0.5", "correlation: 2", 8, "data.generate.correlation is 2; it should be less than 1"),
        ("rows.npy", "rows.csv", 4, "the suffix tells the format"),
        ("    seed: 3", "    compression: gzip", 4, "compression 'gzip' is not for this format"),
        ("ridge: 1e-4", "rigde: 1e-4", 14, "fits.ridge: no option 'rigde'; did you mean 'ridge'?"),
        ("ridge: 1e-4", "ridge: -1", 14, "fits.ridge.ridge is -1; it should be greater than or equal to 0"),
        ("ridge: 1e-4", "ridge: [1]", 14, "fits.ridge.ridge is [1]; it should be a valid number"),
        (
            "    kind: linear\n    ridge",
            "    kind: liner\n    ridge",
            13,
            "no kind of fit 'liner'; did you mean 'linear'?",
        ),
        (
            "    kind: linear\n    ridge",
            "    ridge",
            12,
            "fits.ridge.kind is missing; it can be linear, logistic, glm, multinomial, ordered, penalised, subsets, "
            "constrained, iv or keras",
        ),
        ("features: [x0, x3]", "features: [x0, 3]", 15, "fits.few.features.1 is 3; it should be a valid string"),
        (
            "  few: {kind: linear, features: [x0, x3]}",
            "  few: linear",
            15,
            "fits.few is 'linear'; it should be a mapping",
        ),
        ("  few: {", "  a/b: {", 15, "should match pattern"),
        ("[exact, ridge]", "[exact, rigde]", 17, "no fit 'rigde'; did you mean 'ridge'?"),
        ("[exact, ridge]", "[exact]", 17, "compare.0.fits.1 is missing"),
        ("[exact, ridge]", "[exact, ridge, few]", 17, "compare.0"),
        ("tolerance: 1e9", "tolerance: -1", 19, "compare.1.tolerance is -1; it should be greater than 0"),
        ("tolerance: 1e9", "tolrance: 1", 19, "no option 'tolrance'; did you mean 'tolerance'?"),
        ("  folder: out", "  folder: out\n  fodler: in", 22, "output: no option 'fodler'; did you mean 'folder'?"),
        ("output:", "ouput:", 20, "no option 'ouput'; did you mean 'output'?"),
        ("  folder: out", "  folder: out\nthreads: 0", 22, "threads is 0; it should be greater than 0"),
        ("  folder: out", "  folder: out\ndata: {}", 22, "'data' stands here and on line 1; keep one of them"),
        ("    seed: 3", "    rows: 3", 7, "'rows' stands here and on line 5; keep one of them"),
        ("  target: y", "\ttarget: y", 3, "not readable as YAML"),
        ("  target: y", "  target: [y", 4, "not readable as YAML"),
        ("  target: y", "  target: !!python/object:os.system y", 3, "not readable as YAML"),
        ("  target: y", "  target: y\n  ? [a, b]\n  : c", 4, "a key must be a plain word"),
    ],
)
def test_mistakes_name_the_line(tmp_path, old, new, line, message):
    assert old in SMALL
    path = write(tmp_path, SMALL.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        jobs.load(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n", "just text\n"])
def test_not_a_mapping(tmp_path, text):
    with pytest.raises(ConfigError, match="begins with 'data:' and 'fits:'"):
        jobs.load(write(tmp_path, text))


def test_hostile_files(tmp_path):
    with pytest.raises(ConfigError, match="nested too deeply"):
        jobs.load(write(tmp_path, "data: " + "[" * 100_000))
    (tmp_path / "job.yaml").write_bytes(b"data: \xff\xfe\x00")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        jobs.load(tmp_path / "job.yaml")
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(60))
    with pytest.raises(ConfigError, match="no option 'a0'"):
        jobs.load(write(tmp_path, bomb))
    with pytest.raises(ConfigError):
        jobs.load(write(tmp_path, "data: &d\n  x: *d\n"))


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("    kind: linear\n    ridge", "    kind: [linear]\n    ridge", 13, "no kind of fit ['linear']"),
        ("ridge: 1e-4", f"digits: {'9' * 5000}", 14, "not readable as YAML (this is no int that can be read)"),
        ("ridge: 1e-4", "ridge: !!float x", 14, "not readable as YAML (this is no float that can be read)"),
        ("ridge: 1e-4", "intercept: !!bool maybe", 14, "not readable as YAML (this is no bool that can be read)"),
        ("ridge: 1e-4", "ridge: !!timestamp x", 14, "not readable as YAML (this is no timestamp that can be read)"),
        ("ridge: 1e-4", "ridge: true", 14, "fits.ridge.ridge is true; it should be a number"),
        ("rows: 2000", "rows: true", 5, "data.generate.rows is true; it should be a number"),
        ("  folder: out", f"  folder: out\nthreads: {'9' * 400}", 22, "it should be less than or equal to 4096"),
        ("folder: out", 'folder: "a\\0b"', 21, "output.folder: 'a\\x00b' is no path"),
        ("folder: out", "folder: ''", 21, "output.folder: '' is no path"),
        ("folder: out", f"folder: {'a' * 300}", 21, "names in a path are at most 255 bytes long"),
        ("path: rows.npy", "path: 3", 2, "data.path: 3 is no path; write one as text"),
        ("path: rows.npy", "path: ~nobody-has-this-name/a.npy", 2, "there is no such user's folder"),
        ("  few: {", f"  {'a' * 101}: {{", 15, "should have at most 100 characters"),
        ("  few: {", "  größe: {", 15, "should match pattern"),
        ("  target: y", "  target: \x01", 3, "not readable as YAML (special characters are not allowed)"),
    ],
)
def test_odd_values_name_the_line(tmp_path, old, new, line, message):
    test_mistakes_name_the_line(tmp_path, old, new, line, message)


def test_no_such_file(tmp_path):
    write(tmp_path, SMALL)
    with pytest.raises(ConfigError, match=r"is a folder; name one job file in it: job\.yaml"):
        sr.run_job(tmp_path)
    with pytest.raises(ConfigError, match=r"jbo\.yaml: no such file; did you mean 'job\.yaml'\?"):
        jobs.load(tmp_path / "jbo.yaml")


def test_a_fit_may_be_written_as_another_with_changes(tmp_path):
    fits = "fits:\n  a: &a {kind: linear, ridge: 1.0}\n  b:\n    <<: *a\n    ridge: 2.0\n"
    job = jobs.load(write(tmp_path, f"data: {{path: rows.npy, target: y}}\n{fits}"))
    assert job.fits["a"].ridge == 1.0
    assert job.fits["b"].ridge == 2.0
    with pytest.raises(ConfigError, match=r"line 6: fits.b: no option 'rigde'"):
        jobs.load(write(tmp_path, f"data: {{path: rows.npy, target: y}}\n{fits.replace('    ridge', '    rigde')}"))


def test_words_are_those_of_yaml_1_2(tmp_path):
    path = write(tmp_path, "a: [no, on, 2020-01-01, 1:30]\nb: [true, 1_000, 1e-5, .5, -3, 1.5e3]\nc:\nd: ~\n")
    assert read(path).values == {
        "a": ["no", "on", "2020-01-01", "1:30"],
        "b": [True, 1000, 1e-5, 0.5, -3, 1500.0],
        "c": None,
        "d": None,
    }


def test_paths_start_from_the_folder_of_the_job(small, monkeypatch):
    monkeypatch.chdir("/")
    job = jobs.load(small)
    assert job.data.path == small.parent / "rows.npy"
    assert job.output is not None
    assert job.output.folder == small.parent / "out"
    assert job.fits["ridge"].ridge == 1e-4


def test_plan_reads_and_writes_nothing(small):
    plan = jobs.plan(jobs.load(small))
    assert (plan.exists, plan.rows, plan.columns, plan.passes) == (False, 2000, 6, 4)
    assert plan.nbytes == 2000 * 6 * 8
    assert plan.comparisons == (("exact", "ridge"), ("ridge", "exact"))
    assert [Path(p).name for p in plan.outputs] == ["exact.npz", "ridge.npz", "few.npz", "report.json"]
    assert 20e6 < plan.peak_memory < 300e6
    assert "will be generated" in " ".join(str(plan).split())
    assert [f.name for f in small.parent.iterdir()] == ["job.yaml"]
    sr.generate(small.parent / "rows.npy", rows=2000, columns=5, seed=3, correlation=0.5)
    again = jobs.plan(jobs.load(small))
    assert again == replace(plan, exists=True, peak_memory=again.peak_memory)
    assert "is there" in " ".join(str(again).split())


def test_plan_finds_powers_of_what_is_no_feature(small):
    job = jobs.load(write(small.parent, SMALL.replace("features: [x0, x3]", "powers: {x9: 2}")))
    sr.generate(small.parent / "rows.npy", rows=2000, columns=5, seed=3, correlation=0.5)
    with pytest.raises(UsageError, match="powers of 'x9', which is not a feature"):
        jobs.plan(job)


def test_plan_finds_what_would_go_wrong(small):
    (small.parent / "rows.npy").touch()
    with pytest.raises(DataError, match="not a readable"):
        jobs.plan(jobs.load(small))
    path = write(small.parent, SMALL.replace("x3]", "x9]").replace("rows.npy", "other.npy"))
    sr.generate(small.parent / "other.npy", rows=2000, columns=5, seed=3, correlation=0.5)
    with pytest.raises(DataError, match="no column 'x9'"):
        jobs.plan(jobs.load(path))
    path = write(small.parent, "data: {path: nothing.npy, target: y}\nfits: {a: {kind: linear}}\n")
    with pytest.raises(DataError, match=r"nothing\.npy: no such file"):
        jobs.plan(jobs.load(path))


@pytest.mark.parametrize(("option", "value"), [("rows", 100), ("columns", 7), ("seed", 4)])
def test_a_file_made_by_another_recipe_is_not_taken_for_this_one(small, option, value):
    sr.generate(
        small.parent / "rows.npy", **({"rows": 2000, "columns": 5, "seed": 3, "correlation": 0.5} | {option: value})
    )
    with pytest.raises(ConfigError, match=f"was generated with {option} {value}, and the job says"):
        jobs.run(jobs.load(small))


def test_run(small):
    result = sr.run_job(small)
    data = sr.open(small.parent / "rows.npy", target="y")
    assert result.generated
    assert (result.rows, result.columns, result.passes) == (2000, 6, 1)
    np.testing.assert_array_equal(result.fits["exact"].coef, sr.Linear().fit(data).coef)
    assert result.fits["few"].names == ("x0", "x3")
    assert [c.verdict for c in result.comparisons] == ["agree", "agree"]
    assert result.peak_memory > 10e6
    for name, fit in result.fits.items():
        saved = sr.FitResult.load(small.parent / "out" / f"{name}.npz")
        np.testing.assert_array_equal(saved.coef, fit.coef)
    report = json.loads((small.parent / "out" / "report.json").read_text())
    assert report["fits"]["exact"]["coef"] == result.fits["exact"].coef.tolist()
    assert report["comparisons"][0]["verdict"] == "agree"
    assert report["streamreg"] == sr.__version__
    assert not sr.run_job(small).generated
    text = str(result)
    assert "true" in text
    assert "Verdict: agree" in text
    truth = json.loads((small.parent / "rows.npy.json").read_text())
    assert f"{truth['coef'][0]:.8g}" in text


def test_weights_features_and_columns_of_the_data(tmp_path):
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(60, 4)), rng.uniform(1, 2, size=60)
    np.save(tmp_path / "a.npy", x)
    np.save(tmp_path / "w.npy", w)
    text = """
data: {path: a.npy, target: d, weights: w.npy, columns: [a, b, c, d], features: [a, c]}
fits: {one: {kind: linear, weight_kind: frequency}}
threads: 1
"""
    result = sr.run_job(write(tmp_path, text))
    expected = sr.Linear(weight_kind="frequency").fit((x[:, [0, 2]], x[:, 3], w))
    np.testing.assert_allclose(result.fits["one"].coef, expected.coef, rtol=1e-13)
    assert result.fits["one"].names == ("a", "c")
    assert result.outputs == ()
    assert result.truth is None


def test_command_line(small, capsys):
    def call(*arguments, code=0):
        assert main(["run", str(small), *arguments]) == code
        return capsys.readouterr().out

    assert json.loads(call("--dry-run", "--json"))["rows"] == 2000
    assert "Plan of" in call("--dry-run")
    assert not (small.parent / "rows.npy").exists()
    assert json.loads(call("--json", "--threads", "1"))["fits"]["exact"]["status"] == "ok"
    assert "... and 4 more coefficients" in call("--rows", "1")
    small.write_text(SMALL.replace("ridge: 1e-4", "ridge: 1000"))
    assert call(code=1).startswith("exact and ridge: differ. ")


def test_a_fit_that_did_not_converge_ends_with_1(small, capsys, monkeypatch):
    honest = sr.Linear.fit
    stuck = lambda *a, **k: replace(honest(*a, **k), status="not converged: raise epochs")  # noqa: E731
    monkeypatch.setattr(sr.Linear, "fit", stuck)
    assert main(["run", str(small)]) == 1
    assert "not converged" in capsys.readouterr().out


def test_output_folder_that_cannot_be_made(small):
    (small.parent / "out").touch()
    with pytest.raises(UsageError, match="choose another output folder"):
        sr.run_job(small)


def test_a_folder_that_nothing_can_be_written_to_is_found_before_rows_are_read(small, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    for task in (jobs.plan, jobs.run):
        with pytest.raises(UsageError, match=r"line 21: output\.folder: .*nothing can be written to"):
            task(jobs.load(small))
    assert not (small.parent / "rows.npy").exists()


def test_columns_are_looked_for_before_the_data_are_generated(small):
    path = write(small.parent, SMALL.replace("x3]", "x9]"))
    for task in (jobs.plan, jobs.run):
        with pytest.raises(DataError, match=r"line 15: fits\.few: .*no column 'x9'"):
            task(jobs.load(path))
    assert not (small.parent / "rows.npy").exists()


@pytest.mark.parametrize("section", ["compare", "score"])
def test_fits_of_different_targets_are_told_apart_before_rows_are_read(small, section):
    text = SMALL.replace("features: [x0, x3]", "features: [x0, x3], target: x1")
    path = write(small.parent, f"{text[: text.index('compare')]}{section}:\n  - [exact, few]\n")
    with pytest.raises(ConfigError, match=rf"line 17: 'exact' explains 'y' and 'few' explains 'x1'; {section} fits of"):
        jobs.plan(jobs.load(path))


FAILING = """\
data: {path: a.npy, target: x0}
fits:
  one: {kind: linear, features: [x2]}
  two: {kind: linear, features: [x1]}
  three: {kind: linear, features: [x2], ridge: 1}
compare:
  - [one, two]
  - [one, three]
score:
  - [one, two]
output: {folder: out}
"""


def with_a_gap(folder):
    rows = np.random.default_rng(2).standard_normal((50, 3))
    rows[7, 1] = np.nan
    np.save(folder / "a.npy", rows)


def test_a_fit_that_fails_leaves_the_others_their_results(tmp_path, capsys):
    with_a_gap(tmp_path)
    path = write(tmp_path, FAILING)
    assert main(["run", str(path)]) == 3
    text = " ".join(capsys.readouterr().out.split())
    assert "line 4: fits.two: " in text
    assert "row 7 (from 0), column 'x1': NaN" in text
    assert text.count("skipped, because the fit 'two' failed") == 2
    assert sorted(outputs_of(tmp_path / "out")) == ["one.npz", "report.json", "three.npz"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert sorted(report["fits"]) == ["one", "three"]
    assert [failure["part"] for failure in report["failures"]] == ["fits.two", "compare.0", "score.0"]
    assert len(report["comparisons"]) == 1
    assert len(report["outputs"]) == 3
    alone = sr.Linear(features=("x2",)).fit(sr.open(tmp_path / "a.npy", target="x0"))
    np.testing.assert_array_equal(report["fits"]["one"]["coef"], alone.coef)


def test_a_job_without_a_fit_that_succeeds_is_an_error(tmp_path):
    with_a_gap(tmp_path)
    text = "data: {path: a.npy, target: x0}\nfits:\n  one: {kind: linear}\n  two: {kind: linear, target: x1}\n"
    with pytest.raises(DataError, match=r"job\.yaml, line 3: fits\.one: .*row 7 \(from 0\), column 'x1': NaN"):
        sr.run_job(write(tmp_path, text))
    assert main(["run", str(tmp_path / "job.yaml")]) == 3


def outputs_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_is_stopped_while_it_writes_leaves_the_earlier_files(small, monkeypatch, error):
    sr.run_job(small)
    before = outputs_of(small.parent / "out")
    small.write_text(SMALL.replace("1e-4", "1e-3"))
    honest = sr.FitResult.save

    def save(fit, path):
        if path.name == "few.npz":
            raise error
        honest(fit, path)

    monkeypatch.setattr(sr.FitResult, "save", save)
    with pytest.raises((DataError, KeyboardInterrupt)) as caught:
        sr.run_job(small)
    assert ".job-" not in str(caught.value)
    assert outputs_of(small.parent / "out") == before


def test_a_report_is_there_only_if_all_files_are_of_its_run(small, monkeypatch):
    sr.run_job(small)
    honest = Path.replace

    def replaced(path, target):
        if path.name == Path(target).name == "ridge.npz":
            raise OSError(5, "Input/output error")
        return honest(path, target)

    monkeypatch.setattr(Path, "replace", replaced)
    with pytest.raises(DataError, match="results cannot be written"):
        sr.run_job(small)
    monkeypatch.undo()
    assert sorted(outputs_of(small.parent / "out")) == ["exact.npz", "few.npz", "ridge.npz"]
    sr.run_job(small)
    assert "report.json" in outputs_of(small.parent / "out")


def test_longley_as_shipped():
    result = sr.run_job(ROOT / "configs" / "longley.yaml")
    certified = json.loads((ROOT / "tests" / "data" / "nist" / "Longley.json").read_text())["certified"]
    fit = result.fits["all"]
    np.testing.assert_allclose([fit.intercept, *fit.coef], [float(b) for b in certified["beta"]], rtol=1e-10)
    np.testing.assert_allclose(
        [fit.intercept_std_error, *fit.std_errors], [float(b) for b in certified["se"]], rtol=1e-10
    )
    comments = (ROOT / "configs" / "longley.yaml").read_text()
    assert all(value in comments for value in (*certified["beta"], *certified["se"]))


def test_million_as_shipped_can_be_planned(tmp_path):
    text = (ROOT / "configs" / "million.yaml").read_text()
    plan = jobs.plan(jobs.load(write(tmp_path, text.replace("../", ""))))
    assert (plan.rows, plan.columns, plan.comparisons) == (1_000_000, 101, (("exact", "keras"),))
    assert 80e6 < plan.peak_memory_before_training < plan.peak_memory - 500e6
    assert "peak before training" in str(plan)
    lines = text.splitlines()
    for above, line in pairwise(lines):
        if line.strip() and not line.strip().startswith("#"):
            assert above.strip().startswith("#"), f"{line} has no comment"


SCORED = """\
data:
  path: rows.npy
  target: y
  held_out: 0.25
  generate: {rows: 3000, columns: 4, seed: 3, kind: logistic}
fits:
  all: {kind: logistic}
  one: {kind: glm, family: binomial, features: [x0]}
compare:
  - [all, all]
score:
  - [one, all]
  - fits: [all, one]
    worth: 5
output:
  folder: out
"""


def test_logistic_fits_are_compared_and_scored_on_rows_held_out(tmp_path):
    job = jobs.load(write(tmp_path, SCORED))
    plan = jobs.plan(job)
    assert plan.scorings == (("one", "all"), ("all", "one"))
    assert "Score one, all." in str(plan)
    result = jobs.run(job, progress=False)
    assert result.passes <= plan.passes
    held = result.scores[0].n
    assert result.fits["all"].n == 3000 - held
    assert 600 < held < 900
    assert result.scores[0].gains[0].verdict == "worth it"
    assert result.scores[1].gains[0].verdict == "worse"
    assert result.comparisons[0].from_rows
    assert "worth it" in str(result)
    saved = json.loads((tmp_path / "out" / "report.json").read_text())
    assert saved["scores"][0]["gains"][0]["sentence"].startswith("all explains")
    assert sr.FitResult.load(tmp_path / "out" / "all.npz").family == "binomial"


def test_scores_on_rows_that_were_fitted_say_so(tmp_path):
    result = jobs.run(jobs.load(write(tmp_path, SCORED.replace("  held_out: 0.25\n", ""))), progress=False)
    assert "have seen these rows" in str(result.scores[0])


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("kind: logistic}\n  one", "kind: logistik}\n  one", 7, "no kind of fit 'logistik'; did you mean 'logistic'?"),
        ("[one, all]", "[one, al]", 12, "no fit 'al'; did you mean 'all'?"),
        ("held_out: 0.25", "held_out: 1", 4, "data.held_out is 1; it should be less than 1"),
        ("worth: 5", "worht: 5", 14, "no option 'worht'; did you mean 'worth'?"),
        (
            "{kind: glm, family: binomial, features: [x0]}",
            "{kind: glm, family: gama}",
            8,
            "fits.one.family: no family 'gama'",
        ),
    ],
)
def test_mistakes_in_scores(tmp_path, old, new, line, message):
    assert old in SCORED
    path = write(tmp_path, SCORED.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        jobs.load(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert message in str(caught.value)


@pytest.mark.keras
def test_networks_are_scored_and_saved_but_not_compared(tmp_path):
    network = "{kind: keras, hidden: [4], epochs: 2, loss: binary_cross_entropy}"
    text = SCORED.replace("  one: {kind: glm, family: binomial, features: [x0]}", f"  one: {network}")
    result = jobs.run(jobs.load(write(tmp_path, text)), progress=False)
    assert (tmp_path / "out" / "one.keras").is_file()
    assert np.isfinite(result.scores[0].gains[0].points)
    assert "one" in str(result)
    with pytest.raises(ConfigError, match="'one' is a network"):
        jobs.load(write(tmp_path, text.replace("[all, all]", "[all, one]")))
