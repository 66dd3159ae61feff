"""One line in the registry brings a model to job files, their plan and the command line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import toy_model

import streamreg as sr
from streamreg import cli, jobs
from streamreg.cli import main
from streamreg.errors import ConfigError, DataError, UsageError
from streamreg.models import flat, registry
from streamreg.sources.stored.table import TableSource

TEXT = """\
data: {path: rows.npy, target: y}
fits:
  plain: {kind: linear}
  toy: {kind: toy, factor: 0.25, only: [x1]}
"""
FULL = {
    "linear": {"errors": "HC3"},
    "logistic": {},
    "glm": {"family": "poisson"},
    "multinomial": {},
    "ordered": {"link": "probit"},
    "penalised": {},
    "subsets": {},
    "constrained": {"restrictions": "x0 = x1"},
    "iv": {"endogenous": ["x0"], "instruments": ["x1"]},
    "keras": {},
}


@pytest.fixture
def toy(monkeypatch):
    for kind, place in toy_model.LINE.items():
        monkeypatch.setitem(registry.KINDS, kind, place)


@pytest.fixture
def data(tmp_path):
    sr.generate(tmp_path / "rows.npy", rows=500, columns=3, seed=1)
    return sr.open(tmp_path / "rows.npy", target="y")


@pytest.fixture
def reads(monkeypatch):
    """Every pass over a source."""
    seen = []
    whole = TableSource.partitions
    monkeypatch.setattr(TableSource, "partitions", lambda self, *o: seen.append(self.label) or whole(self, *o))
    return seen


def job(folder, text=TEXT):
    (folder / "job.yaml").write_text(text)
    return jobs.load(folder / "job.yaml")


@pytest.mark.parametrize("kind", registry.KINDS)
def test_what_models_share_is_declared_once_and_has_the_same_words(kind):
    shared = ("formula", "intercept", "features", "target", "missing", "weight_kind")
    model, linear = registry.model(kind), registry.model("linear")
    for name in shared:
        homes = [one.__name__ for one in model.__mro__ if name in vars(one).get("__annotations__", {})]
        assert homes == ([] if name == "weight_kind" and kind == "keras" else homes[:1]), name
        assert not homes or homes[0] in ("Estimator", "Weighted")
        if homes:
            assert model.model_fields[name].annotation == linear.model_fields[name].annotation
            assert flat.options_of(kind)[name].about
    words = {name: flat.options_of(kind)[name].about for name in ("features", "target", "missing")}
    assert words == {name: flat.options_of("linear")[name].about for name in words}


@pytest.mark.usefixtures("toy")
def test_a_toy_model_reaches_jobs_and_shares_their_scan(tmp_path, data):
    loaded = job(tmp_path)
    plan = jobs.plan(loaded)
    assert [(step.name, step.kind, step.passes) for step in plan.fits][1] == ("toy", "toy", 1)
    assert plan.shared == ("plain", "toy")
    result = jobs.run(loaded, progress=False)
    assert result.passes == 1
    alone = toy_model.ToyModel(factor=0.25, only=("x1",)).fit(data)
    np.testing.assert_array_equal(result.fits["toy"].coef, alone.coef)
    assert result.fits["toy"].coef[1] == 0.25 * result.fits["plain"].coef[1]
    assert result.fits["toy"].model == alone.model == loaded.fits["toy"].to_dict()
    with pytest.raises(ConfigError, match=r"line 4: fits\.toy\.factor is -1; it should be greater than 0"):
        job(tmp_path, TEXT.replace("0.25", "-1"))
    with pytest.raises(ConfigError, match=r"line 4: no kind of fit 'toi'; did you mean 'toy'\?"):
        job(tmp_path, TEXT.replace("kind: toy", "kind: toi"))


@pytest.mark.usefixtures("toy")
def test_a_toy_model_reaches_the_command_line(tmp_path, data, capsys):
    command = ["fit", str(tmp_path / "rows.npy"), "--target", "y", "--kind", "toy"]
    assert main([*command, "--factor", "0.25", "--only", "x1, x2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["coef"] == toy_model.ToyModel(factor=0.25, only=("x1", "x2")).fit(data).coef.tolist()
    assert main(["fit", "--kind=toy", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--factor <float> What the slopes are multiplied by. [default: 0.5]" in text
    assert "--features A,B,... Columns to regress on; default: all" in text  # the words of Linear
    assert "--ridge" not in text
    assert main([*command, "--factor", "-1"]) == 2
    assert "factor is -1.0; it should be greater than 0" in capsys.readouterr().err
    assert main([*command, "--ridge", "1"]) == 2
    assert "--ridge" in capsys.readouterr().err


COMMANDS = [
    ("linear", ["--power", "x1=2", "--ridge", "3"], {"powers": {"x1": 2}, "ridge": 3}),
    ("linear", ["--errors", "cluster:x2", "--features", "x0"], {"errors": {"cluster": "x2"}, "features": ("x0",)}),
    ("logistic", ["--max-iterations", "9", "--no-intercept"], {"max_iterations": 9, "intercept": False}),
    ("glm", ["--family", "gaussian", "--features", "x0,x2"], {"family": "gaussian", "features": ("x0", "x2")}),
    ("penalised", ["--alphas", "7", "--rule", "bic"], {"alphas": 7, "rule": "bic"}),
    ("penalised", ["--alphas", "0.1,1", "--l1-ratio", "0.5", "--folds", "3"],
     {"alphas": (0.1, 1), "l1_ratio": 0.5, "folds": 3}),
    ("subsets", ["--candidates", "x0,x1", "--candidates", "x2"], {"candidates": (("x0", "x1"), ("x2",))}),
    ("subsets", ["--method=forward", "--size", "2", "--keep", "x1"], {"method": "forward", "size": 2, "keep": ("x1",)}),
    ("constrained", ["--restrictions", "x0 = x1"], {"restrictions": "x0 = x1"}),
    ("iv", ["--endogenous", "x0", "--instruments", "x1", "--method", "liml"],
     {"endogenous": ("x0",), "instruments": ("x1",), "method": "liml"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "arguments", "options"), COMMANDS)
def test_the_command_line_fits_what_python_fits(tmp_path, data, capsys, kind, arguments, options):
    rows = np.load(tmp_path / "rows.npy")
    rows[:, 2] = np.arange(len(rows)) // 20  # clusters
    rows[:, -1] = rows[:, -1] > 0
    np.save(tmp_path / "rows.npy", rows)
    command = ["fit", str(tmp_path / "rows.npy"), "--target", "y", "--kind", kind, *arguments, "--json"]
    assert main([*command, "--save", str(tmp_path / "fit.npz")]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = flat.build(kind, options).fit(sr.open(tmp_path / "rows.npy", target="y"))
    assert found["coef"] == expected.coef.tolist()
    assert found["model"] == expected.to_dict()["model"]
    np.testing.assert_array_equal(sr.load(tmp_path / "fit.npz").coef, expected.coef)


@pytest.mark.keras
def test_the_command_line_trains_and_saves_networks(tmp_path, data, capsys):
    command = ["fit", str(tmp_path / "rows.npy"), "--target", "y", "--kind", "keras", "--hidden", "4", "--epochs", "1"]
    assert main([*command, "--save", str(tmp_path / "net.npz")]) == 2
    assert "a network file ends in .keras" in capsys.readouterr().err
    assert main([*command, "--save", str(tmp_path / "net.keras")]) == 0
    assert sr.NetworkResult.load(tmp_path / "net.keras").spec["hidden"] == [4]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "lineal"], "--kind: no kind of fit 'lineal'; did you mean 'linear'?"),
        (["--kind", "constrained"], "restrictions is missing; it must be given"),
        (["--kind", "glm", "--family", "gama"], "family: no family 'gama'; did you mean"),
        (["--kind", "glm", "--digits", "9"], "--digits"),
        (["--kind", "penalised", "--rule", "best"], "rule is 'best'"),
        (["--kind", "penalised", "--alphas", "a,b"], "alphas"),
        (["--kind", "subsets", "--candidates", "x9"], "candidates: no feature 'x9'"),
        (["--kind", "multinomial", "--by", "x1"], "--by"),
        (["--kind"], "--kind"),
    ],
)
def test_mistakes_on_the_command_line(tmp_path, data, capsys, arguments, words):
    assert main(["fit", str(tmp_path / "rows.npy"), "--target", "y", *arguments]) in (2, 3)
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert words in error


def test_a_plan_finds_clusters_that_are_no_column(tmp_path, data):
    text = TEXT.replace("{kind: toy, factor: 0.25, only: [x1]}", "{kind: linear, errors: {cluster: x9}}")
    with pytest.raises(DataError, match=r"line 4: fits\.toy: .*no column 'x9'"):
        jobs.plan(job(tmp_path, text))


def test_every_kind_resolves_and_says_what_it_needs(data):
    assert set(FULL) == set(registry.KINDS)
    for kind, options in FULL.items():
        model = flat.build(kind, options)
        assert model.to_dict()["kind"] == kind
        design = model.needs().design(data)
        assert (*design.names, *design.keys) == ("x0", "x1", "x2", "y")
        inside = getattr(sr, registry.model(kind).__name__)
        assert isinstance(model, inside | sr.Selected)
        about = flat.options_of(kind)
        assert [name for name, option in about.items() if not option.about and name not in ("loss", "model")] == []
    with pytest.raises(UsageError, match="no kind of fit 'lineal'; did you mean 'linear'"):
        flat.build("lineal", {})


def test_public_models_are_those_of_the_registry():
    assert set(registry.public()) <= set(sr.__all__)
    for name, module in registry.public().items():
        assert getattr(sr, name).__module__ == module
        assert f"from {module} import {name} as {name}\n" in Path(sr.__file__).read_text()  # for type checkers


def test_jobs_and_commands_know_no_model():
    known = {"base", "effects", "flat", "needs", "registry", "validation"}  # effects are of any fit
    for path in (*Path(jobs.__file__).parent.glob("*.py"), *Path(cli.__file__).parent.glob("*.py")):
        text = path.read_text()
        assert "hasattr(model" not in text
        assert "getattr(model" not in text
        found = re.findall(r"(?:from|import) streamreg\.models\.(\w+)", text)
        found += [
            name for names in re.findall(r"from streamreg\.models import (.+)", text) for name in names.split(", ")
        ]
        assert set(found) <= known, path


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("{kind: penalised, l1_ratio: 0.5, rule: bic}", sr.Selected(sr.Penalised(l1_ratio=0.5), rule="bic")),
        ("{kind: subsets, folds: 4}", sr.Selected(sr.Subsets(), folds=4)),
        ("{kind: linear, by: x1, ridge: 2}", sr.ByGroup(sr.Linear(ridge=2), by="x1")),
        (
            "{kind: selected, model: {kind: penalised, alphas: 7}, rule: cp}",
            sr.Selected(model=sr.Penalised(alphas=7), rule="cp"),
        ),
        ("{kind: by_group, model: {kind: linear}, by: x1}", sr.ByGroup(sr.Linear(), by="x1")),
    ],
)
def test_python_and_job_files_say_the_same(tmp_path, text, model):
    loaded = job(tmp_path, f"data: {{path: rows.npy, target: y}}\nfits:\n  a: {text}\n").fits["a"]
    assert loaded == model
    again = dict(model.to_dict())
    assert flat.build(again.pop("kind"), again) == model


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{kind: selected}", r"line 3: fits\.a\.model is None; it should be a mapping with a kind"),
        ("{kind: selected, model: {kind: penal}}", "line 3: no kind of fit 'penal'; did you mean 'penalised'"),
        ("{kind: selected, model: {kind: linear}}", "a rule selects among the lines of sr.Penalised"),
        ("{kind: selected, model: {kind: penalised, alphs: 3}}", r"fits\.a\.model: no option 'alphs'"),
        ("{kind: by_group, model: {kind: linear}}", r"fits\.a\.by is missing"),
        ("{kind: multinomial, by: x1}", "fits by level are of kinds linear"),
    ],
)
def test_mistakes_in_wrappers(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        job(tmp_path, f"data: {{path: rows.npy, target: y}}\nfits:\n  a: {text}\n")


def test_wrappers_take_only_models_that_they_can_do_with():
    with pytest.raises(UsageError, match=r"a rule selects among the lines of sr\.Penalised.* of type Linear"):
        sr.Selected(sr.Linear())
    with pytest.raises(UsageError, match=r"sr\.Linear.* of type Multinomial"):
        sr.ByGroup(sr.Multinomial(), by="x1")
    with pytest.raises(UsageError, match="rule is 'best'"):
        sr.Selected(sr.Penalised(), rule="best")
    with pytest.raises(UsageError, match="model is given twice"):
        sr.Selected(sr.Penalised(), model=sr.Penalised())
    with pytest.raises(UsageError, match="by is missing"):
        sr.ByGroup(sr.Linear())


def test_a_rule_selects_from_rows_moments_and_their_file(tmp_path, data):
    model = sr.Selected(sr.Penalised(alphas=20), rule="one_standard_error", folds=5, seed=2)
    fit = model.fit(data)
    moments = sr.scan(data, folds=5, seed=2)
    moments.save(tmp_path / "rows.moments")
    path = sr.Penalised(alphas=20).cross_validate(moments)
    for other in (model.fit(moments), model.fit(tmp_path / "rows.moments"), path.candidate(path.one_standard_error())):
        np.testing.assert_array_equal(fit.coef, other.coef)
    assert (fit.passes, model.fit(moments).passes) == (1, 0)
    assert fit.model["kind"] == "penalised"
    assert sr.Selected(sr.Subsets(), rule="bic").fit(moments).n == 500
    with pytest.raises(UsageError, match="fold"):
        model.fit(sr.scan(data))


def test_a_line_for_each_group_is_that_of_fit_by(tmp_path, data):
    rows = np.load(tmp_path / "rows.npy")
    rows[:, 1] = np.arange(len(rows)) % 3
    columns = ["x0", "x1", "x2", "y"]
    found = sr.ByGroup(sr.Linear(), by="x1").fit(sr.open(rows, columns=columns, target="y"))
    expected = sr.fit_by(sr.Linear(), sr.open(rows, columns=columns, target="y"), "x1")
    np.testing.assert_array_equal(found.coef, expected.coef)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("linear", {}),
        ("linear", {"errors": "HC1"}),
        ("linear", {"precision": "exact", "errors": "HC3"}),
        ("glm", {"family": "gaussian", "precision": "float64"}),
        ("penalised", {"rule": "bic"}),
        ("subsets", {}),
        ("constrained", {"restrictions": "x0 = x1"}),
        ("iv", {"endogenous": ["x0"], "instruments": ["x1"]}),
    ],
)
def test_no_fit_takes_more_passes_than_it_says(data, reads, kind, options):
    if kind == "glm":
        del options["precision"]
    model = flat.build(kind, options)
    needs = model.needs()
    found = model.fit(data)
    assert len(reads) == found.passes <= needs.passes
    assert needs.at_most or found.passes == needs.passes


@pytest.mark.parametrize("steps", [1, 2, 50])
def test_no_fit_of_dependent_labels_takes_more_passes_than_it_says(steps):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 3))
    x[:, 2] = x[:, 0] - x[:, 1]
    y = (x[:, 0] + rng.standard_normal(300) > 0).astype(float)
    model = sr.Logistic(max_iterations=steps)
    assert model.fit((x, y)).passes <= model.needs().passes


def test_the_table_credits_the_shared_scan(tmp_path, data):
    text = TEXT.replace("  toy: {kind: toy, factor: 0.25, only: [x1]}\n", "  few: {kind: linear, features: [x1]}\n")
    result = jobs.run(job(tmp_path, text + "  curved: {kind: linear, powers: {x1: 2}}\n"), progress=False)
    assert result.shared_scan.fits == ("plain", "few")
    assert 0 < result.shared_scan.seconds < result.seconds
    lines = [line.split() for line in result.table().splitlines()]
    passes = {line[0]: int(line[-4]) for line in lines if line and line[0] in ("plain", "few", "curved")}
    (scan,) = [line for line in lines if line[:2] == ["(shared", "scan)"]]
    assert int(scan[3]) + sum(passes.values()) == result.passes
    assert "The shared scan is the first pass of plain, few; their own" in result.table()
    assert result.to_dict()["shared_scan"] == {"fits": ("plain", "few"), "seconds": result.shared_scan.seconds}
    assert result.peak_memory_before_training is None
    assert jobs.run(job(tmp_path, text.replace("  few: {kind: linear, features: [x1]}\n", ""))).shared_scan is None


@pytest.mark.keras
def test_memory_before_training_is_told_apart(tmp_path, data):
    text = TEXT.replace("  toy: {kind: toy, factor: 0.25, only: [x1]}\n", "").replace("plain", "exact")
    text = text.replace("fits:\n", "fits:\n  trained: {kind: keras, epochs: 1}\n")
    result = jobs.run(job(tmp_path, text), progress=False)
    assert list(result.fits) == ["trained", "exact"]  # in the order of the job
    assert 10e6 < result.peak_memory_before_training <= result.peak_memory
    assert "peak memory before training" in result.table()
    assert result.to_dict()["peak_memory_before_training"] == result.peak_memory_before_training
