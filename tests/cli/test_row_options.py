"""Which rows of which file, at the command line and in jobs."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamreg as sr
from streamreg.__main__ import main

WHERE = "year >= 2015 and zone in ('a', 'c')"


@pytest.fixture(scope="module")
def trips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trips")
    rng = np.random.default_rng(0)
    n = 2000
    table = pa.table(
        {
            "year": np.sort(rng.integers(2010, 2020, n)),
            "zone": rng.choice(["a", "b", "c"], n),
            "fare": np.round(rng.gamma(3.0, 5.0, n), 2),
            "tip": np.round(rng.normal(size=n), 2),
        }
    )
    pq.write_table(table, folder / "trips.parquet", row_group_size=100)
    with duckdb.connect(folder / "trips.db") as connection:
        connection.register("held", table)
        connection.execute("create table trips as select * from held")
    lines = ["year;zone;fare;tip"]
    for row in table.to_pylist():
        tip = f"{row['tip']:.2f}".replace(".", ",")
        lines.append(f"{row['year']};{row['zone']};{row['fare']:.2f};{tip}".replace(".", ","))
    lines.append("2019;a;?;1,0")
    (folder / "trips.data").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: Any, code: int = 0) -> str:
        capsys.readouterr()
        got = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert got == code, err
        return err if code else out

    return call


def expected(folder: Path) -> sr.FitResult:
    return sr.Linear(formula="tip ~ fare + zone").fit(sr.open(folder / "trips.parquet", where=WHERE))


FORMULA = ("--formula", "tip ~ fare + zone", "--json")


def test_fit_says_which_rows(trips: Path, call: Any) -> None:
    fit = expected(trips)
    found = json.loads(call("fit", trips / "trips.parquet", *FORMULA, "--where", WHERE))
    assert found["coef"] == fit.to_dict()["coef"]
    (part,) = found["provenance"]["sources"]
    assert part["rows"] == 2000 == part["used"] + part["filtered"]
    assert found["provenance"]["where"] == WHERE
    text = call("fit", trips / "trips.parquet", *FORMULA[:2], "--where", WHERE)
    assert "rows left out by where: year >= 2015" in text


def test_queries_and_csv_by_options(trips: Path, call: Any) -> None:
    fit = expected(trips)
    query = ("--query", "select * from trips where year >= 2015", "--where", "zone != 'b'")
    found = json.loads(call("fit", f"duckdb:{trips / 'trips.db'}", *FORMULA, *query))
    np.testing.assert_allclose(found["coef"], fit.coef, rtol=1e-12)
    options = ("--format", "csv", "--option", "delimiter=;", "--option", "decimal=,", "--option", "na_values=?")
    found = json.loads(call("fit", trips / "trips.data", *FORMULA, *options, "--where", WHERE, "--missing", "drop"))
    assert (found["n"], found["n_missing"]) == (fit.n, 1)
    np.testing.assert_allclose(found["coef"], fit.coef, rtol=1e-12)


def test_all_commands_that_read_rows(trips: Path, call: Any, tmp_path: Path) -> None:
    data, where = trips / "trips.parquet", ("--where", "year >= 2015")
    call("fit", data, "--target", "tip", "--features", "fare", *where, "--save", tmp_path / "fit.npz")
    fit = sr.FitResult.load(tmp_path / "fit.npz")
    call("scan", data, "--target", "tip", "--features", "fare", *where, "-o", tmp_path / "a.moments")
    assert sr.load(tmp_path / "a.moments").record.where == "year >= 2015"
    assert "0 rows" not in call("scan", data, "-o", tmp_path / "a.moments", "--append")
    found = json.loads(call("fit", tmp_path / "a.moments", "--target", "tip", "--json"))
    assert found["coef"] == fit.to_dict()["coef"]
    call("predict", tmp_path / "fit.npz", data, tmp_path / "out.npy", *where)
    assert np.isfinite(np.load(tmp_path / "out.npy")).sum() == fit.n
    assert json.loads(call("score", data, tmp_path / "fit.npz", *where, "--json"))["n"] == fit.n
    (tmp_path / "b.json").write_text(json.dumps({"intercept": fit.intercept, "coef": {"fare": fit.coef[0]}}))
    (tmp_path / "c.json").write_text(json.dumps({"intercept": fit.intercept, "coef": {"fare": fit.coef[0] + 1e-9}}))
    call("compare", tmp_path / "b.json", tmp_path / "c.json", "--data", data, "--target", "tip", *where)
    told = call("inspect", data, *where)
    assert "rows cannot pass" in told
    assert json.loads(call("inspect", data, *where, "--json"))["unread"] > 0
    assert "year" in call("verify", data, "--where", "yaer > 0", code=3)


def test_wrong_uses_are_told(trips: Path, call: Any, tmp_path: Path) -> None:
    data = trips / "trips.parquet"
    assert "equality is written ==" in call("fit", data, *FORMULA, "--where", "year = 3", code=2)
    assert "did you mean 'year'" in call("fit", data, *FORMULA, "--where", "yaer > 3", code=3)
    assert "none passes where='year > 3000'" in call("fit", data, *FORMULA, "--where", "year > 3000", code=3)
    assert "options are for CSV files" in call("fit", data, *FORMULA, "--option", "decimal=,", code=2)
    assert "write KEY=VALUE" in call("fit", data, *FORMULA, "--option", "decimal", code=2)
    assert "query= reads a database" in call("fit", data, *FORMULA, "--query", "select 1", code=2)
    call("scan", data, "--target", "tip", "--features", "fare", "-o", tmp_path / "a.moments")
    told = call("fit", tmp_path / "a.moments", "--target", "tip", "--where", "year > 2015", code=2)
    assert "whose rows were chosen by the scan" in told


def test_jobs(trips: Path, call: Any) -> None:
    job = trips / "job.yaml"
    fits = (
        'fits:\n  line: {kind: linear, formula: "tip ~ fare + zone"}\n  short: {kind: linear, formula: "tip ~ fare"}\n'
    )
    job.write_text(f'data:\n  path: trips.parquet\n  where: "{WHERE}"\n{fits}')
    assert f"Rows are used where {WHERE}." in call("run", job, "--dry-run")
    found = sr.run_job(job)
    assert found.fits["line"].n == expected(trips).n
    assert found.where == WHERE
    assert WHERE in str(found)
    job.write_text(f'data:\n  path: "duckdb:trips.db"\n  query: select * from trips\n  where: "{WHERE}"\n{fits}')
    assert sr.run_job(job).fits["line"].n == expected(trips).n
    job.write_text(f'data:\n  path: trips.parquet\n  where: "year = 3"\n{fits}')
    assert "line" in call("run", job, code=2)
    job.write_text(
        f'data:\n  path: trips.parquet\n  where: "year > 2012"\n  held_out: 0.3\n{fits}score:\n  - [line, short]\n'
    )
    held = sr.run_job(job)
    assert held.fits["line"].n + held.scores[0].n == sum(
        pq.read_table(trips / "trips.parquet")["year"].to_numpy() > 2012
    )
