"""Predictions beside columns of any type: rows in order, values exact, the same bytes from any number of workers."""

import errno
import json

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import streamreg as sr
from streamreg.cli import main
from streamreg.errors import DataError, NotFound, UsageError
from streamreg.persist import columns as columnar

N = 30_000
RNG = np.random.default_rng(3)
FRAME = pd.DataFrame(
    {
        "order": [f'o"{k},' if k % 7 else None for k in range(N)],
        "big": 2**60 + np.arange(N),
        "day": pd.Timestamp("2019-12-31") + pd.to_timedelta(np.arange(N) // 50, "D"),
        "x": RNG.normal(size=N),
        "zone": RNG.choice(["a", "b", "c"], N),
    }
)
FRAME["y"] = 1 + 2 * FRAME["x"] + 3 * (FRAME["zone"] == "b") + RNG.normal(size=N)
FRAME.loc[[4, 29_999], "x"] = np.nan
FIT = sr.Linear(formula="y ~ x + zone + month(day)", missing="drop").fit(sr.open(FRAME))
ABSORBED = sr.Linear(features=["x"], absorb="zone", missing="drop").fit(sr.open(FRAME, target="y"))
IDS = ["order", "big", "day"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    FRAME.to_parquet(path, row_group_size=3_000)
    return path


def read(path):
    if path.suffix == ".csv":
        return pd.read_csv(path, parse_dates=["day"], keep_default_na=False, na_values={"x": "", "prediction": ""})
    return pq.read_table(path).to_pandas() if path.suffix == ".parquet" else pd.read_feather(path)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".feather"])
@pytest.mark.parametrize("fit", [FIT, ABSORBED], ids=["formula", "absorbed"])
def test_ids_of_any_type_stand_beside_their_predictions(stored, tmp_path, suffix, fit):
    out = tmp_path / f"p{suffix}"
    found = fit.predict(sr.open(stored), to=out, id=IDS)
    assert found == (str(out), N, 2)
    table = read(out)
    assert list(table.columns) == [*IDS, "prediction"]
    assert (table["big"] == FRAME["big"]).all()
    assert (table["day"] == FRAME["day"]).all()
    assert (table["order"].fillna("") == FRAME["order"].fillna("")).all()
    expected = fit.predict(sr.open(FRAME))
    np.testing.assert_array_equal(table["prediction"], expected)
    assert np.flatnonzero(np.isnan(expected)).tolist() == [4, 29_999]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_the_bytes_do_not_depend_on_workers_or_on_how_rows_are_stored(stored, tmp_path, suffix):
    outs = [tmp_path / f"{k}{suffix}" for k in range(3)]
    FIT.predict(sr.open(stored), to=outs[0], append=True, interval="prediction", threads=1)
    FIT.predict(sr.open(stored), to=outs[1], append=True, interval="prediction", threads=3)
    FRAME.to_parquet(tmp_path / "one.parquet")
    FIT.predict(sr.open(tmp_path / "one.parquet"), to=outs[2], append=True, interval="prediction", engine="serial")
    assert outs[0].read_bytes() == outs[1].read_bytes() == outs[2].read_bytes()
    table = read(outs[0])
    assert list(table.columns) == [*FRAME.columns, "prediction", "std_error", "lower", "upper"]
    np.testing.assert_array_equal(table["x"], FRAME["x"])


def test_numbers_go_along_to_hdf5_and_texts_do_not(stored, tmp_path):
    FIT.predict(sr.open(stored), to=tmp_path / "p.h5", id="big", interval="confidence")
    with h5py.File(tmp_path / "p.h5") as file:
        assert (file["big"][:] == FRAME["big"]).all()
        assert set(file) == {"big", "prediction", "std_error", "lower", "upper"}
    for out, options in (("p.zarr", {"id": "order"}), ("p.npy", {"id": "big"}), ("q.h5", {"append": True})):
        with pytest.raises(UsageError, match=r"\.parquet"):
            FIT.predict(sr.open(stored), to=tmp_path / out, **options)
    assert not (tmp_path / "p.npy").exists()


def test_what_cannot_be_carried_is_refused_by_name(stored, tmp_path):
    source, out = sr.open(stored), tmp_path / "p.parquet"
    with pytest.raises(NotFound, match="no column 'ordr'; did you mean 'order'"):
        FIT.predict(source, to=out, id="ordr")
    with pytest.raises(UsageError, match="has a column 'prediction'"):
        FIT.predict(FRAME.assign(prediction=1.0), to=out, append=True)
    with pytest.raises(DataError, match="column 'tags' is of type list"):
        FIT.predict(FRAME.assign(tags=[[1]] * N), to=out, append=True)
    with pytest.raises(UsageError, match="holds the rows"):
        FIT.predict(source, to=stored, append=True, force=True)
    with pytest.raises(UsageError, match="lies in the folder"):
        FIT.predict(sr.open(stored.parent), to=stored.parent / "p.parquet")
    with pytest.raises(UsageError, match="to='predictions"):
        FIT.predict(source, id="order")
    with pytest.raises(UsageError, match="suffix tells the format"):
        FIT.predict(source, to=tmp_path / "p.xlsx")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_result(stored, tmp_path, monkeypatch):
    out = tmp_path / "p.csv"
    FIT.predict(sr.open(stored), to=out, id="order")
    before = out.read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        FIT.predict(sr.open(stored), to=out, id="big")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("streamreg.persist.delimited.lines", full)
    with pytest.raises(DataError, match="No space left"):
        FIT.predict(sr.open(stored), to=out, id="big", force=True)
    monkeypatch.setattr(columnar._Groups, "_give", full)
    with pytest.raises(DataError, match="No space left"):
        FIT.predict(sr.open(stored), to=tmp_path / "p.parquet")
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_the_command_line_and_jobs_write_the_same(stored, tmp_path, capsys):
    FIT.save(tmp_path / "fit.npz")
    FIT.predict(sr.open(stored), to=tmp_path / "a.csv", id=["order", "big"], interval="confidence", level=0.9)
    words = ["predict", str(tmp_path / "fit.npz"), str(stored), str(tmp_path / "b.csv"), "--id", "order,big"]
    assert main([*words, "--interval", "confidence", "--level", "0.9"]) == 0
    assert "30,000 predictions, 2 of them missing" in capsys.readouterr().out
    job = tmp_path / "job.yaml"
    job.write_text(f"""
data: {{path: {stored}}}
fits:
  line: {{kind: linear, formula: y ~ x + zone + month(day), missing: drop}}
predictions:
  - {{fit: line, to: c.csv, id: [order, big], interval: confidence, level: 0.9}}
  - {{fit: line, to: d.csv, id: nothing}}
""")
    assert main(["run", str(job), "--dry-run"]) == 0
    assert "c.csv" in capsys.readouterr().out
    assert main(["run", str(job), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["predictions"][0]["rows"] == N
    assert "no column 'nothing'" in told["failures"][0]["reason"]
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes() == (tmp_path / "c.csv").read_bytes()
    job.write_text(job.read_text().replace("c.csv", "c.xlsx"))
    assert main(["run", str(job), "--dry-run"]) == 2
    assert "predictions.0" in capsys.readouterr().err
