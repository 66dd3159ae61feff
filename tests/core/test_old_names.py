"""Names of the version before: they work, and warn; what was saved under them loads without a word."""

import json
import warnings

import numpy as np
import pytest

import streamreg as sr
from streamreg.cli import main
from streamreg.errors import ConfigError, UsageError
from streamreg.jobs import job
from streamreg.models import flat
from streamreg.persist import archive, records
from streamreg.scans import moments_file

RNG = np.random.default_rng(3)
X = RNG.normal(size=(60, 3))
Y = X @ [1.0, 2.0, 0.0] + RNG.normal(size=60)
W = RNG.integers(1, 4, size=60) * 1.0


@pytest.mark.parametrize(
    ("old", "make", "new"),
    [
        ("weights", lambda: sr.Linear(weights="frequency"), sr.Linear(weight_kind="frequency")),
        ("weights", lambda: sr.Logistic(weights="frequency"), sr.Logistic(weight_kind="frequency")),
        ("weights", lambda: sr.Subsets(weights="frequency"), sr.Subsets(weight_kind="frequency")),
        (
            "weights",
            lambda: sr.Constrained(restrictions="x0 = x1", weights="frequency"),
            sr.Constrained(restrictions="x0 = x1", weight_kind="frequency"),
        ),
        ("smallest", lambda: sr.Penalised(smallest=1e-4), sr.Penalised(eps=1e-4)),
        ("choose", lambda: sr.Selected(sr.Penalised(), choose="bic"), sr.Selected(sr.Penalised(), rule="bic")),
        ("choose", lambda: flat.build("penalised", {"choose": "bic"}), sr.Selected(sr.Penalised(), rule="bic")),
        ("weights", lambda: flat.build("linear", {"weights": "frequency"}), sr.Linear(weight_kind="frequency")),
    ],
)
def test_options_of_models(old, make, new):
    with pytest.warns(FutureWarning, match=f"{old} is called .* now") as told:
        assert make() == new
    assert [one.filename for one in told] == [__file__]


def test_both_names_are_one_too_many():
    with pytest.raises(UsageError, match="choose and rule are one option"):
        sr.Selected(sr.Penalised(), rule="cv", choose="bic")
    with pytest.raises(UsageError, match="stretches and blocks are one option"):
        sr.scan((X, Y), stretches=3, blocks=3)


def test_names_that_never_were_are_refused_as_ever():
    with pytest.raises(UsageError, match="no option 'weights'"):
        sr.Keras(weights="frequency")
    with pytest.raises(UsageError, match="no option 'level'"):
        sr.Subsets(level="forward")


def test_attributes_of_fits():
    fit = sr.Linear().fit((X, Y))
    with pytest.warns(FutureWarning, match="tstats is called tvalues") as told:
        np.testing.assert_array_equal(fit.tstats, fit.tvalues)
    assert told[0].filename == __file__
    with pytest.warns(FutureWarning, match="intercept_tvalue"):
        assert fit.intercept_tstat == fit.intercept_tvalue
    with pytest.warns(FutureWarning, match="level is called method"):
        assert fit.level == fit.method == "float64"


def test_scan():
    with pytest.warns(FutureWarning, match="stretches is called blocks") as told:
        old = sr.scan((X, Y), stretches=6)
    assert told[0].filename == __file__
    new = sr.scan((X, Y), blocks=6)
    assert sorted(old.groups) == sorted(new.groups) == list(range(6))


def test_moments_that_were_scanned_under_the_old_name(tmp_path, monkeypatch):
    new = sr.scan((X, Y), blocks=6)
    monkeypatch.setattr("streamreg.stats.grouped.Block.__str__", lambda by: f"stretch {by.length}")
    new.record = new.record.__class__(**{**_fields(new.record), "by": "stretch 10"})
    new.save(tmp_path / "old.moments")
    monkeypatch.undo()
    old = moments_file.load(tmp_path / "old.moments")
    assert old.by == new.by
    assert len(sr.merge(old, sr.scan((X[:40], Y[:40]), blocks=4)).groups) == 10


def _fields(record):
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def test_saved_fits_and_paths(tmp_path):
    """As the version before saved them: `level` and the options of the model under their old names."""
    fit = sr.Linear(weight_kind="frequency").fit((X, Y, W))
    path = sr.Penalised(eps=1e-4).fit(sr.scan((X, Y)))
    for result, kind, names in ((fit, "fit", {"level": "method"}), (path, path.KIND, {})):
        values, arrays = records.parts(result)
        values["model"] = dict(values["model"])
        for old, new in names.items():
            values[old] = values.pop(new)
        for old, new in (("weights", "weight_kind"), ("smallest", "eps")):
            if new in values["model"]:
                values["model"][old] = values["model"].pop(new)
        archive.write(tmp_path / "old.npz", kind, values, arrays)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = type(result).load(tmp_path / "old.npz")
            assert again.to_dict() == result.to_dict()
    assert sr.robust(fit, (X, Y, W), "HC1").model["weight_kind"] == "frequency"


def test_job_files(tmp_path):
    np.save(tmp_path / "rows.npy", np.column_stack([X, Y]))
    text = "data: {{path: rows.npy, target: y, columns: [a, b, c, y]}}\nfits:\n  a: {}\n"
    file = tmp_path / "job.yaml"
    file.write_text(text.format("{kind: penalised, choose: bic, smallest: 0.01}"))
    with pytest.warns(FutureWarning, match="is called"):
        found = job.load(file)
    assert found.fits["a"] == sr.Selected(sr.Penalised(eps=0.01), rule="bic")
    file.write_text(text.format("{kind: penalised, choose: bic, rule: cp}"))
    with pytest.raises(ConfigError, match=r"line 3: .*choose and rule are one option"):
        job.load(file)


def test_command_line(tmp_path, capsys):
    file = tmp_path / "rows.npy"
    np.save(file, np.column_stack([X, Y]))
    for old, new in (("--weights-mean=frequency", "--weight-kind"), ("--ridge=0", None)):
        assert main(["fit", str(file), "--target", "x3", old, "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["method"] == "float64"
        assert err == (
            f"--weights-mean is called {new} now; the next version will not know --weights-mean\n" if new else ""
        )
    assert main(["scan", str(file), "-o", str(tmp_path / "a.moments"), "--stretches", "4"]) == 0
    assert "--blocks" in capsys.readouterr().err
    assert len(sr.load(tmp_path / "a.moments").groups) == 4
    assert (
        main(["fit", str(file), "--target", "x3", "--kind", "penalised", "--choose", "bic", "--smallest", "0.01"]) == 0
    )
    assert "--rule" in capsys.readouterr().err
