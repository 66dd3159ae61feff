"""A pass that breaks off goes on from where it was, to the same bits, for every statistic."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import NAMES, STATISTICS, Case
from helpers import Cut

import streamreg as sr
from streamreg.cli import main
from streamreg.engines.serial import Serial
from streamreg.engines.threads import Threads
from streamreg.errors import ChangedError, CorruptError, UsageError
from streamreg.persist.lock import locked
from streamreg.scans import checkpoint as checkpoints
from streamreg.scans.checkpoint import Checkpoint
from streamreg.scans.fold import folded

BORDERS = (700, 720, 2048, 3000, 3001, 5500, 8192)


class BreakError(Exception):
    pass


class Breaking(Serial):
    """An engine that fails after some tasks."""

    __slots__ = ("after",)

    def __init__(self, after: int) -> None:
        object.__setattr__(self, "after", after)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for k, result in enumerate(super().map(function, items)):
            if k == self.after:
                raise BreakError
            yield result


def rows(case: Case) -> Any:
    return Cut(case.source(), BORDERS, (900, 1, 4000))


def numbers(case: Case, engine: Any, folder: Path | None = None) -> dict[str, Any]:
    kept = None if folder is None else Checkpoint(folder, 0.0)
    return case.numbers(folded(rows(case), case.design(), case.make(), engine=engine, checkpoint=kept).state)


@pytest.mark.parametrize("name", [name for name in STATISTICS if "clusters" not in name])
@pytest.mark.parametrize("after", [1, 4, 7])
def test_a_broken_pass_goes_on(name, after, tmp_path):
    case = STATISTICS[name]
    whole = numbers(case, Serial())
    with pytest.raises(BreakError):
        numbers(case, Breaking(after), tmp_path)
    assert (tmp_path / "001.pass").is_file()
    resumed = numbers(case, Threads(2), tmp_path)
    assert whole.keys() == resumed.keys()
    for key in whole:
        np.testing.assert_array_equal(resumed[key], whole[key], err_msg=key)


def test_sums_over_clusters_go_on(tmp_path):
    case = STATISTICS["clusters"]
    whole = numbers(case, Serial())
    with pytest.raises(BreakError):
        numbers(case, Breaking(4), tmp_path)
    resumed = numbers(case, Serial(), tmp_path)
    for key in whole:
        np.testing.assert_allclose(resumed[key], whole[key], rtol=1e-12, err_msg=key)


def broken(tmp_path: Path, name: str = "moments") -> Case:
    case = STATISTICS[name]
    with pytest.raises(BreakError):
        numbers(case, Breaking(5), tmp_path)
    return case


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    case = broken(tmp_path)
    whole = numbers(case, Serial())
    last, before = ((tmp_path / name).read_bytes() for name in ("001.pass", "001.pass.before"))
    for cut in (0, 10, len(last) // 2, len(last) - 1):
        (tmp_path / "001.pass").write_bytes(last[:cut])
        (tmp_path / "001.pass.before").write_bytes(before)
        again = numbers(case, Serial(), tmp_path)
        assert all(np.array_equal(again[key], whole[key]) for key in whole)


def test_two_damaged_ones_are_refused(tmp_path):
    case = broken(tmp_path)
    for file in tmp_path.glob("*.pass*"):
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CorruptError, match="begin again"):
        numbers(case, Serial(), tmp_path)


@pytest.mark.parametrize("name", ["001.pass", "001.pass.before", "001.pass.new"])
def test_a_folder_in_place_of_a_file_is_refused(name, tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(3000, 4)))
    (tmp_path / "run" / name).mkdir(parents=True)
    command = ["fit", str(tmp_path / "a.npy"), "--target", "x3", "--checkpoint", str(tmp_path / "run")]
    assert main(command) == 3
    assert f"{name}: is a folder, and a file is to be kept there" in capsys.readouterr().err
    (tmp_path / "run" / name).rmdir()
    assert main(command) == 0
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["fit", "scan"])
def test_commands_go_on(command, tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(9000, 4)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("streamreg.sources.stored.table.row_ranges", lambda *_: [(0, 3000), (3000, 6000), (6000, 9000)])
    out = {"fit": ["--save", "a.npz"], "scan": ["-o", "a.moments"]}[command]
    arguments = [command, "a.npy", "--target", "x3", *out, "--checkpoint", "run", "--engine", "serial"]
    read, real = [], Serial.map

    def interrupted(self: Any, function: Any, items: Any) -> Any:
        for k, result in enumerate(real(self, function, items)):
            if k == 2 and len(read) == 2:
                raise KeyboardInterrupt
            read.append(k)
            yield result

    monkeypatch.setattr(Serial, "map", interrupted)
    assert main(arguments) == 130
    assert (tmp_path / "run/001.pass").is_file()
    assert main(arguments) == 0
    assert len(read) == 3
    assert not (tmp_path / "run").exists()
    capsys.readouterr()


def test_other_data_options_and_versions_are_refused(tmp_path, monkeypatch):
    case = broken(tmp_path)
    other = Cut(sr.open((np.ones((9000, 5)), np.ones(9000)), columns=NAMES), BORDERS[:-1], (900,))
    with pytest.raises(ChangedError, match="other data"):
        folded(other, case.design(), case.make(), engine=Serial(), checkpoint=Checkpoint(tmp_path))
    with pytest.raises(UsageError, match="another computation"):
        numbers(STATISTICS["integer moments"], Serial(), tmp_path)
    monkeypatch.setattr(checkpoints, "__version__", "9")
    with pytest.raises(UsageError, match="this is 9"):
        numbers(case, Serial(), tmp_path)


def test_a_folder_has_one_writer_and_is_empty_at_the_end(tmp_path):
    random = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", random.normal(size=(3000, 4)))
    folder = tmp_path / "run"
    options: dict[str, Any] = {"target": "x3", "formula": None}
    fit = sr.Linear(errors="HC1", **options).fit(tmp_path / "a.npy", checkpoint=folder)
    assert not folder.exists()
    np.testing.assert_array_equal(fit.coef, sr.Linear(**options).fit(tmp_path / "a.npy").coef)
    assert sr.scan(tmp_path / "a.npy", checkpoint=folder).n == 3000
    with locked(folder), pytest.raises(UsageError, match="another run"), locked(folder):
        pass


def _killed(path: str, folder: str) -> None:
    checkpoints.SECONDS = 0.0
    original = checkpoints.Pass.save
    count = 0

    def save(self: Any, *args: Any) -> None:
        nonlocal count
        original(self, *args)
        count += 1
        if count == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.Pass.save = save  # type: ignore[method-assign]
    checkpoints.Pass.due = True  # type: ignore[assignment,method-assign]
    sr.Linear(target="x99", precision="exact").fit(path, threads=1, checkpoint=folder)


def test_a_killed_process_leaves_what_the_next_one_goes_on_from(tmp_path):
    random = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", random.normal(size=(200_000, 100)))  # five partitions
    given = str(tmp_path / "a.npy"), str(tmp_path / "run")
    process = multiprocessing.get_context("spawn").Process(target=_killed, args=given)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / "run" / "001.pass").is_file()
    fit = sr.Linear(target="x99", precision="exact").fit(tmp_path / "a.npy", checkpoint=tmp_path / "run")
    whole = sr.Linear(target="x99", precision="exact").fit(tmp_path / "a.npy")
    np.testing.assert_array_equal(fit.coef, whole.coef)
    np.testing.assert_array_equal(fit.std_errors, whole.std_errors)
    assert not (tmp_path / "run").exists()
