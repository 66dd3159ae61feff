"""Seals: what a format cannot see is found by later scans, and what is not proven is said."""

import json

import h5py
import numpy as np
import pytest

import streamreg as sr
from streamreg.cli import main
from streamreg.engines.serial import Serial
from streamreg.engines.threads import Threads
from streamreg.errors import CorruptError, StreamregError, UsageError
from streamreg.scans import seal as seals

RNG = np.random.default_rng(2)
N = seals.STRETCH + 5000
X = RNG.standard_normal((N, 4))


def made(tmp_path, rows=X):
    path = tmp_path / "a.npy"
    np.save(path, rows)
    source = sr.open(path)
    seals.write(source, seals.read(source, Serial()))
    return path


def flip(path, row, column, bit):
    raw = bytearray(path.read_bytes())
    raw[len(raw) - X.nbytes + (row * 4 + column) * 8 + bit // 8] ^= 1 << bit % 8
    path.write_bytes(raw)


@pytest.mark.parametrize("place", [(0, 0, 0), (61, 1, 52), (seals.STRETCH - 1, 3, 63), (N - 1, 2, 7)])
def test_one_flipped_bit_is_found_by_every_pass(tmp_path, place):
    path = made(tmp_path)
    assert sr.Linear(target="x3").fit(sr.open(path)).n == N
    flip(path, *place)
    first = place[0] // seals.STRETCH * seals.STRETCH
    for engine in (None, "serial"):
        with pytest.raises(CorruptError, match=rf"rows {first:,} to .*column 'x{place[1]}'.*damaged"):
            sr.Linear(target="x3").fit(sr.open(path), engine=engine)
    with pytest.raises(CorruptError, match="not those of its seal"):
        sr.scan(sr.open(path), folds=3)


def test_all_that_is_read_is_judged_also_columns_that_no_model_uses(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["X"] = X
    source = sr.open(path)
    seals.write(source, seals.read(source, Threads(2)))
    with h5py.File(path, "r+") as file:
        file["X"][70, 1] = 9.0
    with pytest.raises(CorruptError, match="'x1'"):
        sr.scan(sr.open(path), ("x0", "x2"))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "int8", "bool", ">f8"])
def test_sums_do_not_depend_on_how_rows_are_cut(tmp_path, dtype):
    x = (X * 9).astype(dtype)
    path = made(tmp_path, x)
    source = sr.open(path)
    for cut in (1000, 61, 4096):
        found = seals.Sums()
        for partition in source.partitions(cut):
            for chunk in partition.chunks(cut):
                part = seals.Sums()
                part.add(chunk.cut(0, len(chunk) // 3))
                part.add(chunk.cut(len(chunk) // 3, len(chunk)))
                found.merge(part)
        assert seals.beside(source).check("a", found) == N
    assert sr.scan(source).n == N


def test_text_is_sealed(tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    words = np.array(["a", "b", None, "c"], dtype=object)
    pq.write_table(pa.table({"w": words[np.arange(900) % 4], "y": X[:900, 0]}), path)
    source = sr.open(path)
    seals.write(source, seals.read(source, Serial()))
    assert seals.verify(source, Serial()).proven == 900
    words[1] = "d"
    pq.write_table(pa.table({"w": words[np.arange(900) % 4], "y": X[:900, 0]}), path)
    with pytest.raises(CorruptError, match="'w'"):
        seals.verify(sr.open(path), Serial())


def test_rows_that_came_later_are_not_proven(tmp_path):
    path = made(tmp_path)
    state = sr.scan(sr.open(path))
    np.save(path, np.concatenate([X, X[:70_000]]))
    found = seals.verify(sr.open(path), Serial())
    assert (found.rows, found.proven) == (N + 70_000, N)
    assert "not proven" in str(found)
    assert sr.append(state, sr.open(path)).n == N + 70_000


def test_a_damaged_seal_is_refused(tmp_path):
    path = made(tmp_path)
    seal = path.with_name("a.npy.seal")
    raw = bytearray(seal.read_bytes())
    raw[len(raw) // 2] ^= 1
    seal.write_bytes(raw)
    with pytest.raises(CorruptError, match=r"a\.npy\.seal: .*damaged"):
        sr.scan(sr.open(path))


def test_a_seal_lies_beside_a_file():
    source = sr.open(X)
    with pytest.raises(StreamregError, match="beside a file"):
        seals.write(source, seals.read(source, Serial()))


def test_commands_seal_and_verify(tmp_path, capsys):
    path = tmp_path / "a.npy"
    np.save(path, X)

    def call(*arguments, code=0):
        assert main([str(a) for a in arguments]) == code
        return capsys.readouterr()

    assert "There is no seal" in call("verify", path).out
    assert "seals 70,536 rows x 4 columns" in call("seal", path).out
    assert "70,536 rows are those that were sealed." in call("verify", path).out
    assert json.loads(call("verify", path, "--json").out)["proven"] == N
    flip(path, 3, 1, 1)
    assert call("verify", path, code=3).err.startswith(f"error: {path}: rows 0 to 65,535 are not those of its seal")
    assert "seal" in call("fit", path, "--target", "x3", code=3).err


def test_a_checkpoint_does_not_switch_the_seal_off(tmp_path):
    x = np.random.default_rng(3).normal(size=(200_000, 40))
    np.save(tmp_path / "a.npy", x)
    seals.write(sr.open(tmp_path / "a.npy"), seals.read(sr.open(tmp_path / "a.npy"), Serial()))
    with (tmp_path / "a.npy").open("r+b") as file:
        file.seek(4096)
        file.write(b"\x55")
    for _ in range(2):
        with pytest.raises(CorruptError, match="not those of its seal"):
            sr.Linear(target="x39").fit(tmp_path / "a.npy", checkpoint=tmp_path / "run")


def test_lost_rows_and_columns_of_formulas_are_noticed(tmp_path):
    pd = pytest.importorskip("pandas")
    n = 3000
    random = np.random.default_rng(4)
    table = pd.DataFrame({"y": random.normal(size=n), "x": random.normal(size=n) + 5})
    table["d"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 300, n), unit="D")
    table.to_parquet(tmp_path / "a.parquet")
    seals.write(sr.open(tmp_path / "a.parquet"), seals.read(sr.open(tmp_path / "a.parquet"), Serial()))
    sr.Linear(formula="y ~ log(x) + d").fit(tmp_path / "a.parquet")
    table.loc[7, "x"] += 1.0
    table.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(CorruptError, match="'x'"):
        sr.Linear(formula="y ~ log(x) + d").fit(tmp_path / "a.parquet")
    table.iloc[:-1].to_parquet(tmp_path / "a.parquet")
    with pytest.raises(CorruptError, match="its seal is of 3,000"):
        sr.Linear(formula="y ~ d").fit(tmp_path / "a.parquet")


def test_rows_before_those_that_were_added_are_all_compared(tmp_path):
    x = np.random.default_rng(5).normal(size=(1000, 3))
    np.save(tmp_path / "a.npy", x)
    seals.write(sr.open(tmp_path / "a.npy"), seals.read(sr.open(tmp_path / "a.npy"), Serial()))
    np.save(tmp_path / "a.npy", np.vstack([x, x]))
    assert seals.verify(sr.open(tmp_path / "a.npy"), Serial()).proven == 1000
    x[999, 1] += 1
    np.save(tmp_path / "a.npy", np.vstack([x, x]))
    with pytest.raises(CorruptError, match="not those of its seal"):
        seals.verify(sr.open(tmp_path / "a.npy"), Serial())


@pytest.mark.parametrize("engine", [None, "serial"])
def test_a_scan_seals_by_the_way(tmp_path, engine):
    """What it writes is what `streamreg seal` writes, of the columns that were read."""
    path = tmp_path / "a.npy"
    np.save(path, X)
    plain = sr.scan(path, target="x3").to_arrays()
    state = sr.scan(path, target="x3", seal=True, engine=engine)
    for name, values in state.to_arrays().items():
        np.testing.assert_array_equal(values, plain[name])
    by_the_way = (tmp_path / "a.npy.seal").read_bytes()
    with pytest.raises(UsageError, match="is there already, and every scan compares it"):
        sr.scan(path, target="x3", seal=True)
    seals.write(sr.open(path), seals.read(sr.open(path), Serial()))
    assert (tmp_path / "a.npy.seal").read_bytes() == by_the_way
    flip(path, 4, 1, 3)
    with pytest.raises(CorruptError, match="not those of its seal"):
        sr.scan(path, target="x3")


def test_what_is_no_file_is_not_sealed(tmp_path):
    with pytest.raises(UsageError, match="a seal lies beside a file"):
        sr.scan(X, seal=True)


def test_a_seal_by_the_way_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", X)
    assert main(["scan", "a.npy", "-o", "a.moments", "--target", "x3", "--seal", "--checkpoint", "run"]) == 0
    assert main(["verify", "a.npy"]) == 0
    assert f"{N:,} rows are those that were sealed" in capsys.readouterr().out
    assert main(["scan", "a.npy", "-o", "a.moments", "--append", "--seal"]) == 2


@pytest.mark.parametrize("formula", ["x3 ~ x0 + x1", "x3 ~ x0 + log(x1 + 10)", "x3 ~ x0 + center(x1)"])
def test_a_seal_is_compared_by_fits_of_formulas(tmp_path, formula):
    path = made(tmp_path)
    assert sr.Linear(formula=formula).fit(path).n == N
    flip(path, 70, 1, 3)
    with pytest.raises(CorruptError, match="not those of its seal"):
        sr.Linear(formula=formula).fit(path)
