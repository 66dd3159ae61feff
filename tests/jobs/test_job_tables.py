"""Jobs over tables of columns: formulas name the target, options say how a CSV file is written."""

import json
from pathlib import Path

import numpy as np

import streamreg as sr
from streamreg.cli import main

JOB = """
data:
  path: trips.csv
  options: {delimiter: ";", na_values: ["?"]}
fits:
  line: {kind: linear, formula: "tip ~ fare * zone", missing: drop}
  absorbed: {kind: linear, formula: "tip ~ fare | zone", missing: drop}
output: {folder: out}
"""


def test_a_job_fits_formulas_to_a_csv_file(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    n = 400
    fare, zone = random.gamma(3.0, 5.0, n), random.choice(["a", "b", "c"], n)
    tip = 0.2 * fare + (zone == "a") + random.normal(size=n)
    rows = [f"{t};{f};{z}" for t, f, z in zip(tip.tolist(), fare.tolist(), zone.tolist(), strict=True)]
    rows[7] = f"{tip[7]};?;{zone[7]}"
    (tmp_path / "trips.csv").write_text("\n".join(["tip;fare;zone", *rows]))
    (tmp_path / "job.yaml").write_text(JOB)
    assert main(["run", str(tmp_path / "job.yaml"), "--dry-run"]) == 0
    assert main(["run", str(tmp_path / "job.yaml")]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["fits"]["line"]["n_missing"] == 1
    saved = sr.FitResult.load(tmp_path / "out" / "line.npz")
    keep = np.arange(n) != 7
    table = {"tip": tip[keep], "fare": fare[keep], "zone": zone[keep]}
    whole = sr.Linear(formula="tip ~ fare * zone").fit(table)
    np.testing.assert_allclose(saved.coef, whole.coef, rtol=1e-12)
    np.testing.assert_allclose(saved.predict(table), whole.predict(table), rtol=1e-12)


def test_a_job_without_a_target_says_what_to_do(tmp_path: Path, capsys) -> None:
    np.save(tmp_path / "a.npy", np.ones((5, 2)))
    (tmp_path / "job.yaml").write_text("data: {path: a.npy}\nfits: {line: {kind: linear}}\n")
    assert main(["run", str(tmp_path / "job.yaml")]) == 2
    assert "no target; say which column to explain" in capsys.readouterr().err
