"""Job files that are written for a file, and the schema by which editors check them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import streamreg as sr
from streamreg import jobs
from streamreg.cli import main
from streamreg.jobs.schema import schema

CONFIGS = Path(__file__).parents[2] / "configs"
RNG = np.random.default_rng(2)
TABLE = pd.DataFrame(
    {
        "pay day": RNG.normal(size=90),
        "no": RNG.integers(0, 9, 90),
        "town": np.array(["a", "b: c", "d"])[np.arange(90) % 3],
        "when": pd.date_range("2020-01-01", periods=90),
        "y": RNG.normal(size=90),
    }
)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_a_drafted_job_runs_and_explains_the_target_by_all_others(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    TABLE.to_csv("data/rows.csv", index=False)
    TABLE.to_parquet("data/rows.parquet")
    assert main(["init", f"data/{name}"]) == 2
    assert "has the columns pay day, no, town, when, y" in capsys.readouterr().err
    assert main(["init", f"data/{name}", "--target", "y", "-o", "job.yaml"]) == 0
    assert main(["init", f"data/{name}", "--target", "y", "-o", "job.yaml"]) == 2
    found = sr.run_job("job.yaml").fits["line"]
    expected = sr.Linear("y ~ `pay day` + no + town").fit(TABLE)
    assert found.names == expected.names
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-12)
    assert Path("results/job/line.npz").is_file()


def test_numbers_alone_need_no_formula(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    TABLE[["pay day", "no", "y"]].to_csv("rows.csv", index=False)
    assert main(["init", "rows.csv", "--target", "y"]) == 0
    assert jobs.load("rows.yaml").fits["line"] == sr.Linear(features=("pay day", "no"))
    assert main(["init", "rows.csv", "--target", "z", "--force"]) == 3


def test_the_shipped_schema_is_that_of_this_version(capsys):
    """If it is not: streamreg schema > configs/job.schema.json"""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema() == json.loads((CONFIGS / "job.schema.json").read_text())


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_jobs_name_the_schema_and_use_its_keys(path):
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=job.schema.json\n")
    held, known = yaml.safe_load(text), schema()
    assert set(held) <= set(known["properties"])
    assert set(held["data"]) <= set(known["$defs"]["Data"]["properties"])
    for fit in held["fits"].values():
        assert set(fit) <= set(known["$defs"][fit["kind"]]["properties"])


def test_verdicts_come_first_and_tables_on_demand(capsys):
    assert main(["run", str(CONFIGS / "longley.yaml")]) == 0
    brief = capsys.readouterr().out
    assert brief.splitlines()[0].startswith("all: ok; 16 rows, R2 0.995479")
    assert max(map(len, brief.splitlines())) <= 80
    assert main(["run", str(CONFIGS / "longley.yaml"), "--tables"]) == 0
    assert "deflator" not in brief
    assert "deflator" in capsys.readouterr().out
