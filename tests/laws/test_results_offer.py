"""What every result offers: a table as text, HTML and data frame; plain values; a file that gives it back; a status."""

import importlib
import inspect
import json
import pkgutil
import re
import sys
from contextlib import suppress
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len

import streamreg as sr
from streamreg.engines.serial import Serial
from streamreg.errors import CorruptError, NotFound, UsageError
from streamreg.persist import archive, kinds
from streamreg.reporting.result import STATUSES, Result
from streamreg.scans import seal

SAVED = Path(__file__).parents[1] / "data" / "saved"
RNG = np.random.default_rng(3)
X = RNG.standard_normal((600, 3))
Y = X @ [1.0, 2.0, 3.0] + RNG.standard_normal(600)
FRAME = pd.DataFrame(X, columns=["a", "<b>", "c"]).assign(
    key=np.arange(600) % 3, town=np.array(["ex", "<why>", "zed"])[np.arange(600) % 3], y=Y, label=1.0 * (Y > 0)
)


def verified(folder):
    path = folder / "rows.npy"
    np.save(path, np.column_stack([X, Y]))
    source = sr.open(path, target="x3")
    seal.write(source, seal.read(source, Serial()))
    return seal.verify(sr.open(path, target="x3"), Serial())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One of every kind, each made once; and some fits that hold more than others."""
    features = ("a", "<b>", "c")
    data = sr.open(FRAME, target="y")
    fit = sr.Linear(features=features).fit(data)
    absorbed = sr.Linear(features=features, absorb="town", errors={"cluster": "key"}).fit(data)
    ridge = sr.Linear(features=features, ridge=1.0).fit(data)
    groups = sr.fit_by(sr.Linear(features=features), data, by="key")
    twice = sr.Linear(features=(*features, "d")).fit(sr.open(FRAME.assign(d=FRAME["a"] + FRAME["c"]), target="y"))
    return {
        "fit": fit,
        "fit with effects": absorbed,
        "fit of dependent columns": twice,
        "fit of a formula": sr.Linear(formula="y ~ a + C(town)").fit(FRAME),
        "logistic fit": sr.Logistic(features=("a",)).fit(sr.open(FRAME, target="label")),
        "fit of classes": sr.Multinomial(features=("a", "<b>"), target="town").fit(FRAME),
        "fit of ordered classes": sr.Ordered(features=("a", "<b>"), target="key").fit(FRAME),
        "fit of instruments": sr.IV(features=("c",), endogenous=("a",), instruments=("<b>", "key")).fit(data),
        "effects": absorbed.effects("town"),
        "conditioning": twice.conditioning(),
        "penalty path": sr.Penalised(alphas=5, features=features).cross_validate(sr.scan(data, features, folds=3)),
        "penalty path of a likelihood": sr.Penalised(
            family="binomial", alphas=4, features=features, target="label"
        ).cross_validate(FRAME, 3),
        "subsets": sr.Subsets(features=features).fit(data),
        "fits by group": groups,
        "Chow test": groups.chow(),
        "test of restrictions": sr.wald_test(fit, "a = 1, c = 2"),
        "analysis of variance": sr.anova(sr.Linear(features=("a",)).fit(data), fit),
        "analysis of terms": fit.anova(),
        "profile intervals": sr.profile_intervals(
            sr.Logistic(features=("a",)).fit(sr.open(FRAME, target="label")), FRAME, ["a", "intercept"]
        ),
        "marginal effects": sr.effects(fit, data),
        "resampling": sr.bootstrap(sr.Linear(), sr.scan(data, features, blocks=10), replicates=20),
        "comparison": sr.compare(fit, ridge),
        "comparisons": sr.compare_all({"<line>": fit, "ridge": ridge, "again": fit}),
        "scores": sr.score({"<line>": fit, "less": sr.Linear(features=("a",)).fit(data)}, data),
        "profile": sr.profile(FRAME),
        "check of rows": verified(tmp_path_factory.mktemp("sealed")),
    }


NAMES = (
    *("fit", "fit with effects", "fit of dependent columns", "fit of a formula", "logistic fit", "effects"),
    "penalty path of a likelihood",
    *("fit of classes", "fit of ordered classes", "fit of instruments"),
    *("conditioning", "penalty path", "subsets", "fits by group", "Chow test", "test of restrictions", "resampling"),
    "profile intervals",
    "marginal effects",
    "analysis of variance",
    "analysis of terms",
    *("comparison", "comparisons", "scores", "profile", "check of rows"),
)


def each():
    return pytest.mark.parametrize("name", NAMES)


def classes():
    """Return every result class of the package."""
    for module in pkgutil.walk_packages(sr.__path__, "streamreg."):
        if module.name.split(".")[1] in ("results", "comparison", "scoring", "scans", "solve", "neural"):
            importlib.import_module(module.name)
    found, left = set(), [Result]
    while left:
        more = set(left.pop().__subclasses__()) - found
        found |= more
        left += more
    # A dataclass with slots is a second class of the same name.
    real = {one for one in found if getattr(sys.modules[one.__module__], one.__name__, None) is one}
    return {one for one in real if one.__module__.startswith("streamreg.") and hasattr(one, "KIND")}


def test_every_class_is_in_the_list_of_kinds_and_made_here(results):
    here = {type(result) for result in results.values()} | {sr.NetworkResult}  # that one in tests/neural
    assert classes() == here
    assert {one.KIND for one in here} | {"scan", "seal"} == set(kinds.KINDS)
    assert set(results) == set(NAMES)


@each()
def test_text_is_the_summary_and_values_are_json(results, name):
    result = results[name]
    assert str(result) == result.summary()
    assert result.status.startswith(STATUSES)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == result.to_dict()


@each()
def test_a_frame_has_the_rows_of_the_table(results, name):
    table = results[name].table(None)
    frame = results[name].to_frame()
    assert len(frame) == len(table.rows)
    assert len(set(frame.columns)) == len(frame.columns)
    assert [str(value) for value in frame[frame.columns[0]]] == [cells[0] for cells in table.rows]
    for column in table.columns[1:]:
        if name != "fits by group":  # whose frame has errors in columns of their own
            shown = dict(zip(column.cells, frame[column.name], strict=True))
            numbers = {cell: v for cell, v in shown.items() if re.fullmatch(r"-?[\d.]+(e[-+]\d+)?", cell)}
            assert all(float(cell) == pytest.approx(v, rel=1e-1, abs=6e-4) for cell, v in numbers.items())


@each()
def test_html_holds_what_the_text_does_and_is_escaped(results, name):
    table = results[name].table()
    html = results[name]._repr_html_()
    bare = unescape(re.sub(r"<[^>]*>", " ", html))
    for cell in [*sum(table.rows, ()), *table.header, *(value for _, value in table.facts)]:
        assert cell in bare
    tags = set(re.findall(r"</?(\w+)", html))
    assert tags <= {"div", "p", "b", "br", "table", "thead", "tbody", "tr", "th", "td"}


@each()
@pytest.mark.parametrize("width", [80, 50])
def test_text_is_no_wider_than_the_terminal(results, name, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    if name == "check of rows":
        return  # one sentence
    assert max(map(cell_len, results[name].summary().splitlines())) <= width


@each()
def test_a_file_gives_it_back(results, name, tmp_path):
    result = results[name]
    result.save(tmp_path / "result.npz")
    for again in (sr.load(tmp_path / "result.npz"), type(result).load(tmp_path / "result.npz")):
        assert type(again) is type(result)
        assert again.summary() == result.summary()
        assert again.to_dict() == result.to_dict()
        assert str(again.table(None)) == str(result.table(None))


@each()
def test_rows_bound_the_table(results, name):
    assert len(results[name].table(1).rows) <= 2  # beside an intercept; candidates show the ends of their path


def test_what_was_made_from_rows_says_which(results):
    for name, result in results.items():
        if name in ("effects", "conditioning", "profile", "check of rows"):
            continue
        held = result.provenance
        found = held.get("sources") or held.get("fits") or list(held.values())
        assert found, name
    account = results["resampling"].provenance["sources"][0]
    assert account["rows"] == account["used"] + account["missing"] + account["left_out"] == 600


def test_scans_and_seals_load_by_the_same_call(tmp_path):
    sr.scan((X, Y), folds=3).save(tmp_path / "a.moments")
    assert sr.load(tmp_path / "a.moments").n == 600
    verified(tmp_path)
    assert sr.load(tmp_path / "rows.npy.seal").rows == 600


def test_what_is_no_saved_result_is_refused(tmp_path, results):
    with pytest.raises(UsageError, match="takes the path"):
        sr.load(3)
    with pytest.raises(NotFound, match="no such file"):
        sr.load(tmp_path / "none.npz")
    archive.write(tmp_path / "a.npz", "pass over rows", {}, {})
    with pytest.raises(UsageError, match="holds a checkpoint"):
        sr.load(tmp_path / "a.npz")
    archive.write(tmp_path / "a.npz", "horoscope", {}, {})
    with pytest.raises(CorruptError, match="holds a saved horoscope"):
        sr.load(tmp_path / "a.npz")
    results["fit"].save(tmp_path / "a.npz")
    with pytest.raises(CorruptError, match="holds a saved fit, not a penalty path"):
        sr.PenaltyPath.load(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-400])
    with pytest.raises(CorruptError, match=r"a\.npz"):
        sr.load(tmp_path / "a.npz")


@each()
def test_an_edited_file_is_refused_or_loads_without_a_traceback(results, name, tmp_path):
    result = results[name]
    path = tmp_path / "edited.npz"
    result.save(path)
    values, arrays = archive.load(path, result.KIND)
    wrong = ("word", ["a", 1], None, {"keys": 3, "of": {}})
    edits = [({**values, key: wrong[k % len(wrong)]}, arrays) for k, key in enumerate(values)]
    edits += [({}, arrays), (values | {"more": 1}, arrays), (values, {})]
    edits += [(values, {k: v for k, v in arrays.items() if k != key}) for key in list(arrays)[::3]]
    for edited in edits:
        archive.write(path, result.KIND, *edited)
        with suppress(sr.StreamregError):
            sr.load(path).summary()


def test_every_result_is_documented():
    for one in classes():
        for member in ("table", "summary", "to_dict", "to_frame", "save", "load", "status"):
            assert hasattr(one, member) or member in one.__dataclass_fields__
            assert member == "status" or inspect.getdoc(getattr(one, member)), (one, member)


@pytest.mark.parametrize("name", ["fit.npz", "effects.npz", "path.npz", "subsets.npz"])
def test_files_of_the_version_before_load(name):
    """They were written before results had one base: the same numbers, and the same text but for what was added."""
    expected = json.loads((SAVED / "shown.json").read_text())[name]
    found = sr.load(SAVED / name)
    assert found.summary() == expected["summary"]
    assert held(found.to_dict(), expected["values"])


def held(values, expected):
    """Return whether all that is expected is there: what came since may stand beside it, in dicts within dicts too."""
    if isinstance(expected, dict):
        return all(key in values and held(values[key], inner) for key, inner in expected.items())
    return values == expected


def test_moments_of_the_version_before_load():
    assert (
        sr.load(SAVED / "folds.moments").n == sum(part.n for part in sr.folds(SAVED / "folds.moments").values()) == 60
    )
