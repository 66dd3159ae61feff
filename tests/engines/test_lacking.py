"""Rows that cannot be read: asked for again, then refused or left out, with the same bits on every engine."""

import errno
import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from cases import NAMES, STATISTICS
from helpers import Cut

import streamreg as sr
from streamreg.cli import main
from streamreg.engines.base import Engine
from streamreg.engines.serial import Serial
from streamreg.engines.threads import Threads
from streamreg.errors import ChangedError, CorruptError, DataError, IncompleteWarning, UsageError
from streamreg.scans import faults as module
from streamreg.scans.checkpoint import Checkpoint
from streamreg.scans.faults import Faults
from streamreg.scans.fold import folded
from streamreg.sources.base import Partition
from streamreg.sources.chunk import Chunk

BORDERS = (700, 720, 2048, 3000, 3001, 5500, 8192, 8300)
BAD = ((700, 720), (2048, 3000), (3000, 3001), (8192, 8300))


class Broken(Cut):
    """The same rows, in partitions of which some break off after a few rows."""

    def __init__(self, inner: Any, bad: Sequence[tuple[int, int]] = BAD) -> None:
        super().__init__(inner, BORDERS, (900, 1, 4000))
        self.bad = tuple(bad)

    def partitions(self, block: int = 1024, columns: Sequence[str] | None = None) -> list[Partition]:
        return [_Broken(p) if (p.start, p.stop) in self.bad else p for p in super().partitions(block, columns)]


@dataclass
class _Broken(Partition):
    inner: Any

    def __post_init__(self) -> None:
        self.start, self.stop = self.inner.start, self.inner.stop

    def chunks(self, rows: int) -> Iterator[Chunk]:
        first = next(replace(self.inner, sizes=(7,)).chunks(rows))
        if len(first) < self.stop - self.start:
            yield first
        raise CorruptError(f"chunk {self.start}: bad checksum")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "WAIT", 0.0)


def lacking(case: Any, engine: Engine, source: Any = None, **options: Any) -> Any:
    with pytest.warns(IncompleteWarning, match="could not be read and are left out"):
        return folded(
            source or Broken(case.source()), case.design(), case.make(), engine=engine, faults=Faults("skip"), **options
        )


@pytest.mark.parametrize("name", STATISTICS)
def test_every_engine_leaves_out_the_same_rows(name, engine):
    """The numbers are those of rows that are left out for a missing value, to the last bit."""
    case = STATISTICS[name]
    x, y = (np.array(part) for part in _rows(case))
    for start, stop in BAD:
        x[start:stop, 0] = np.nan
    holes = Cut(sr.open((x, y), columns=NAMES), BORDERS, (900, 1, 4000))
    dropped = folded(holes, replace(case.design(), missing="drop"), case.make(), engine=Serial()).state
    found = lacking(case, engine)
    assert [(lack.start, lack.stop) for lack in found.lacking] == list(BAD)
    state = found.state
    assert (state.n, state.n_read, state.n_missing) == (dropped.n, dropped.n_read, 0)
    expected, numbers = case.numbers(dropped), case.numbers(state)
    if name == "Newey-West":  # blocks of rows without scores are added up in another order than blocks that are absent
        np.testing.assert_allclose(numbers["sum 0"], expected["sum 0"], rtol=1e-12)
        expected = case.numbers(lacking(case, Serial()).state)
    for key, value in expected.items():
        if value.dtype.kind != "U":  # there, rows are counted as missing
            np.testing.assert_array_equal(numbers[key], value, err_msg=key)


def _rows(case: Any) -> Any:
    (partition,) = case.source().partitions()
    (chunk,) = partition.chunks(10**9)
    return chunk.matrix, chunk.vectors["y"]


@pytest.mark.parametrize("size", [2, 3, 100])
def test_tasks_of_several_partitions(size):
    class Sharing(Serial):
        def share(self, items: Any, nbytes: Any = None) -> int:
            return size

    case = STATISTICS["moments"]
    expected = case.numbers(lacking(case, Serial()).state)
    for key, value in case.numbers(lacking(case, Sharing()).state).items():
        np.testing.assert_array_equal(value, expected[key])


def test_by_default_the_pass_fails():
    case = STATISTICS["moments"]
    with pytest.raises(CorruptError, match="chunk 700: bad checksum"):
        folded(Broken(case.source()), case.design(), case.make(), engine=Threads(2))


def test_nothing_can_be_read():
    case = STATISTICS["moments"]
    cuts = [0, *BORDERS, 9000]
    nothing = Broken(case.source(), list(itertools.pairwise(cuts)))
    with pytest.raises(CorruptError, match="none of its rows could be read; rows 0 to 699: chunk 0"):
        folded(nothing, case.design(), case.make(), engine=Serial(), faults=Faults("skip"))


def test_later_passes_leave_out_the_same_rows_however_they_are_cut():
    case, faults = STATISTICS["moments"], Faults("skip")
    with pytest.warns(IncompleteWarning):
        first = folded(Broken(case.source()), case.design(), case.make(), engine=Serial(), faults=faults).state
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = Cut(case.source(), (1000, 2500, 8200), (500,))  # all can be read, and what lacked before lacks still
        again = folded(other, case.design(), case.make(), engine=Threads(2), faults=faults)
    assert sum(lack.stop - lack.start for lack in again.lacking) == sum(b - a for a, b in BAD)
    for key, value in case.numbers(first).items():
        np.testing.assert_array_equal(case.numbers(again.state)[key], value)


def test_rows_that_were_used_are_not_left_out_afterwards():
    case, faults = STATISTICS["moments"], Faults("skip")
    folded(Cut(case.source(), BORDERS, (900,)), case.design(), case.make(), engine=Serial(), faults=faults)
    with pytest.raises(DataError, match="an earlier pass could read these rows"):
        folded(Broken(case.source()), case.design(), case.make(), engine=Serial(), faults=faults)


class Flaky(Cut):
    """Every partition fails a few times in its middle, as a network does."""

    def __init__(self, inner: Any, times: int, error: Exception) -> None:
        super().__init__(inner, BORDERS, (900, 1, 4000))
        self.left, self.error = dict.fromkeys((0, *BORDERS), times), error

    def partitions(self, block: int = 1024, columns: Sequence[str] | None = None) -> list[Partition]:
        return [_Flaky(p, self.left, self.error) for p in super().partitions(block, columns)]


@dataclass
class _Flaky(Partition):
    inner: Any
    left: dict[int, int]
    error: Exception

    def __post_init__(self) -> None:
        self.start, self.stop = self.inner.start, self.inner.stop

    def chunks(self, rows: int) -> Iterator[Chunk]:
        for k, chunk in enumerate(replace(self.inner, sizes=(11, 300)).chunks(rows)):
            if k and self.left[self.start]:
                self.left[self.start] -= 1
                raise self.error
            yield chunk


PASSING = [
    OSError(errno.EIO, "Input/output error"),
    TimeoutError("no answer"),
    ConnectionResetError(errno.ECONNRESET, "reset by peer"),
]


@pytest.mark.parametrize("name", ["moments", "absorbed", "folds", "clusters"])
@pytest.mark.parametrize("error", PASSING)
def test_what_passes_is_tried_again_and_no_row_counts_twice(name, error):
    case = STATISTICS[name]
    source = case.source()
    expected = case.numbers(folded(Cut(source, BORDERS, (900,)), case.design(), case.make(), engine=Serial()).state)
    for engine in (Serial(), Threads(3)):
        found = folded(Flaky(source, 3, error), case.design(), case.make(), engine=engine)
        assert found.state.n == 9000
        for key, value in case.numbers(found.state).items():
            np.testing.assert_array_equal(value, expected[key])


def test_what_does_not_pass_fails_with_its_reason():
    case = STATISTICS["moments"]
    with pytest.raises(CorruptError, match=r"rows from 11 on cannot be read \(Input/output error\), also when tried 3"):
        folded(Flaky(case.source(), 99, PASSING[0]), case.design(), case.make(), engine=Serial())


def test_reasons_that_do_not_pass_are_not_tried_again():
    case = STATISTICS["moments"]
    for error in (PermissionError(errno.EACCES, "Permission denied"), OSError(errno.ENOTDIR, "Not a directory")):
        flaky = Flaky(case.source(), 99, error)
        with pytest.raises(CorruptError, match="cannot be read"):
            folded(flaky, case.design(), case.make(), engine=Serial())
        assert flaky.left[0] == 98


def test_changed_data_are_never_left_out():
    case = STATISTICS["moments"]
    changed = Flaky(case.source(), 99, ChangedError("was written to"))
    with pytest.raises(ChangedError):
        folded(changed, case.design(), case.make(), engine=Serial(), faults=Faults("skip"))


# Files of each kind, in which the part of some rows is damaged.


def _spoil(path: Any, at: int, count: int = 64) -> None:
    data = bytearray(path.read_bytes())
    for k in range(at, at + count):
        data[k] ^= 0xFF
    path.write_bytes(data)


def damaged_hdf5(folder: Any, rows: Any) -> Any:
    h5py = pytest.importorskip("h5py")
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=rows, chunks=(1000, rows.shape[1]), compression="gzip", fletcher32=True)
        chunk = file["X"].id.get_chunk_info(4)
    _spoil(path, chunk.byte_offset + 50)
    return path


def damaged_zarr(folder: Any, rows: Any) -> Any:
    zarr = pytest.importorskip("zarr")
    path = folder / "a.zarr"
    group = zarr.open_group(path, mode="w")
    group.create_array("X", data=rows, chunks=(1000, rows.shape[1]))
    (path / "X/c/4/0").write_bytes(b"nonsense")
    return path


def damaged_parquet(folder: Any, rows: Any) -> Any:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = folder / "a.parquet"
    table = pa.table({f"x{k}": rows[:, k] for k in range(rows.shape[1])})
    pq.write_table(table, path, row_group_size=4096, compression="zstd", write_page_checksum=True, use_dictionary=False)
    group = pq.read_metadata(path).row_group(1)
    _spoil(path, group.column(0).data_page_offset + 100)
    return path


KINDS = {"hdf5": damaged_hdf5, "zarr": damaged_zarr, "parquet": damaged_parquet}


@pytest.fixture(params=KINDS)
def damaged(request, tmp_path, monkeypatch):
    rows = np.random.default_rng(3).normal(size=(20_000, 3))
    monkeypatch.setattr("streamreg.sources.stored.table.row_ranges", lambda n, _, unit=1, block=1: _cuts(n, unit))
    monkeypatch.setattr("streamreg.sources.arrow.source.PART_BYTES", 2**15)
    return KINDS[request.param](tmp_path, rows), rows


def _cuts(n: int, unit: int) -> list[tuple[int, int]]:
    step = max(unit, 1000)
    return [(a, min(a + step, n)) for a in range(0, n, step)]


def test_files_with_a_damaged_part(damaged):
    path, rows = damaged
    data = sr.open(path, target="x2")
    with pytest.raises(CorruptError):
        sr.Linear().fit(data)
    found = {}
    for threads in (1, 3):
        with pytest.warns(IncompleteWarning, match=path.name):
            found[threads] = sr.Linear(errors="HC1").fit(data, threads=threads, on_fault="skip")
    fit = found[1]
    assert fit.status.startswith("incomplete: ")
    assert fit.coef.tobytes() == found[3].coef.tobytes()
    assert fit.std_errors.tobytes() == found[3].std_errors.tobytes()
    (account,) = fit.provenance["sources"]
    parts = [account[name] for name in ("used", "missing", "left_out", "lacking")]
    assert account["rows"] == len(rows) == sum(parts)
    kept = np.ones(len(rows), bool)
    for fault in account["faults"]:
        kept[slice(*fault["rows"])] = False
        assert path.name in fault["reason"]
    assert 0 < account["lacking"] < 10_000
    assert kept.sum() == fit.n == account["used"]
    plain = sr.Linear(errors="HC1").fit((rows[kept][:, :2], rows[kept][:, 2]))
    np.testing.assert_allclose(fit.coef, plain.coef, rtol=1e-10)
    np.testing.assert_allclose(fit.std_errors, plain.std_errors, rtol=1e-10)


def test_every_model_says_what_lacks(damaged, tmp_path):
    path, _ = damaged
    data = sr.open(path, target="x2")
    models = [
        sr.Linear(formula="x2 ~ x0 + center(x1)"),
        sr.Linear(precision="exact"),
        sr.Glm(family="gaussian"),
        sr.Selected(sr.Penalised(), rule="bic"),
    ]
    for model in models:
        with pytest.warns(IncompleteWarning):
            fit = model.fit(data, on_fault="skip")
        assert "incomplete: " in fit.status
        fit.save(tmp_path / "fit.npz")
        assert sr.FitResult.load(tmp_path / "fit.npz").status == fit.status
        assert "could not be read and are left out" in fit.summary()
    with pytest.warns(IncompleteWarning):
        state = sr.scan(data, on_fault="skip")
    state.save(tmp_path / "a.moments")
    assert sr.load(tmp_path / "a.moments").record.parts[0].faults
    assert sr.Linear().fit(tmp_path / "a.moments").status.startswith("incomplete: ")


def test_a_checkpoint_remembers_what_lacks(tmp_path):
    case, folder = STATISTICS["moments"], tmp_path / "run"

    class Interrupted(Serial):
        def map(self, function: Any, items: Any) -> Iterator[Any]:
            for k, result in enumerate(super().map(function, items)):
                if k == 5:
                    raise KeyboardInterrupt
                yield result

    source = Broken(case.source())
    with pytest.raises(KeyboardInterrupt):
        folded(
            source,
            case.design(),
            case.make(),
            engine=Interrupted(),
            faults=Faults("skip"),
            checkpoint=Checkpoint(folder, 0.0),
        )
    with pytest.raises(UsageError, match="go on with on_fault='skip'"):
        folded(source, case.design(), case.make(), engine=Serial(), checkpoint=Checkpoint(folder))
    found = lacking(case, Threads(2), source, checkpoint=Checkpoint(folder))
    assert [(lack.start, lack.stop) for lack in found.lacking] == list(BAD)
    for key, value in case.numbers(lacking(case, Serial()).state).items():
        np.testing.assert_array_equal(case.numbers(found.state)[key], value)


def test_no_more_is_left_out_than_blocks(tmp_path):
    """Of one partition of all rows."""
    path = damaged_hdf5(tmp_path, np.random.default_rng(3).normal(size=(50_000, 3)))
    data = sr.open(path, target="x2")
    assert len(data.partitions()) == 1
    with pytest.warns(IncompleteWarning, match="8,192 rows could not be read"):
        fit = sr.Linear().fit(data, on_fault="skip")
    assert fit.provenance["sources"][0]["faults"][0]["rows"] == [0, 8192]  # the damaged chunk is of rows 4,000 to 4,999
    assert "zero weight" not in fit.summary()


def test_deleted_chunks_are_left_out(tmp_path, monkeypatch, capsys):
    """Lost chunks are refused when a store is opened, unless they are taken for faults."""
    rows = np.random.default_rng(3).normal(size=(20_000, 3))
    path = damaged_zarr(tmp_path, rows)
    (path / "X/c/4/0").unlink()
    with pytest.raises(CorruptError, match="rows 4,000-4,999"):
        sr.open(path, target="x2")
    data = sr.open(path, target="x2", missing_chunks="fault")
    with pytest.raises(CorruptError, match="rows 4,000-4,999"):
        sr.Linear().fit(data)
    with pytest.warns(IncompleteWarning, match="rows 4,000-4,999"):
        fit = sr.Linear().fit(data, on_fault="skip")
    assert fit.provenance["sources"][0]["faults"][0]["rows"] == [0, 8192]
    monkeypatch.chdir(tmp_path)
    for command in (["fit", "a.zarr"], ["scan", "a.zarr", "-o", "a.moments"]):
        assert main([*command, "--target", "x2"]) == 3
        assert main([*command, "--target", "x2", "--on-fault", "skip"]) == (command[0] == "fit")
    capsys.readouterr()


def test_a_store_that_does_not_answer_is_not_asked_again_and_again(tmp_path):
    """A partition is left out as a whole, not tried in halves."""
    case = STATISTICS["moments"]
    flaky = Flaky(case.source(50_000), 10**9, PASSING[0])
    flaky.borders, flaky.left = (40_000,), dict.fromkeys((0, 40_000), 10**9)
    with pytest.raises(CorruptError, match="none of its rows could be read"):
        folded(flaky, case.design(), case.make(), engine=Serial(), faults=Faults("skip"))
    assert sum(10**9 - left for left in flaky.left.values()) == 2 * 4


def test_streams_and_networks_take_no_faults():
    x = np.random.default_rng(0).normal(size=(100, 3))
    with pytest.raises(UsageError, match="pass by once"):
        sr.Linear().fit(iter([(x[:, :2], x[:, 2])]), on_fault="skip")
    with pytest.raises(UsageError, match="on_fault is 'ignore'; it can be 'fail' or 'skip'"):
        sr.Linear().fit((x[:, :2], x[:, 2]), on_fault="ignore")


def test_command_and_job_end_with_one(tmp_path, capsys, monkeypatch):
    path = damaged_hdf5(tmp_path, np.random.default_rng(3).normal(size=(50_000, 3)))
    monkeypatch.chdir(tmp_path)
    assert main(["fit", path.name, "--target", "x2"]) == 3
    capsys.readouterr()
    assert main(["fit", path.name, "--target", "x2", "--on-fault", "skip"]) == 1
    found = capsys.readouterr()
    assert found.err.startswith("warning: a.h5: 8,192 rows could not be read and are left out (rows 0 to 8,191: a.h5: ")
    assert found.err.count("\n") == 1
    assert "incomplete: 8,192 rows" in found.out
    (tmp_path / "job.yaml").write_text(
        "data: {path: a.h5, target: x2}\nfits: {a: {kind: linear}, b: {kind: linear, errors: HC1}}\non_fault: skip\n"
    )
    with pytest.warns(IncompleteWarning) as told:
        found = sr.run_job("job.yaml")
    assert len(told) == 1
    assert [fit.status[:10] for fit in found.fits.values()] == ["incomplete", "incomplete"]
    assert main(["fit", path.name, "--target", "x2", "--on-fault", "mend"]) == 2
