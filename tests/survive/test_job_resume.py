"""A job that was broken off goes on to the same bits, and refuses what is not its own."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from streamreg import jobs
from streamreg.cli import main
from streamreg.errors import ChangedError, UsageError
from streamreg.persist.lock import locked
from streamreg.scans import checkpoint as checkpoints

JOB = """\
data:
  path: a.npy
  target: x5
  features: [x0, x1, x2]
fits:
  line: {kind: linear}
  robust: {kind: linear, errors: HC3}
  exact: {kind: linear, precision: exact}
  chosen: {kind: penalised, rule: cv, folds: 4}
  levels: {kind: linear, by: x4, features: [x0, x1]}
  counts: {kind: glm, family: poisson, target: x4}
  clusters: {kind: linear, errors: {cluster: x4}}
compare:
  - [line, exact]
output:
  folder: out
"""


class Broken(BaseException):
    """A process that ends here."""


@pytest.fixture
def job(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    rows = random.normal(size=(9000, 6))
    rows[:, 4] = random.integers(0, 7, len(rows))
    rows[:, 5] += rows[:, 0]
    np.save(tmp_path / "a.npy", rows)
    (tmp_path / "job.yaml").write_text(JOB)
    cuts = [(a, min(a + 1700, 9000)) for a in range(0, 9000, 1700)]
    monkeypatch.setattr("streamreg.sources.stored.table.row_ranges", lambda *_: cuts)
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    return tmp_path / "job.yaml"


def break_after(monkeypatch, saves):
    """Let the process end after so many saves; return the list of the passes that were saved."""
    saved, real = [], checkpoints.Pass.save

    def save(self, *args):
        if len(saved) == saves:
            raise Broken
        real(self, *args)
        saved.append(self.path.name)

    monkeypatch.setattr(checkpoints.Pass, "save", save)
    monkeypatch.setattr(checkpoints.Pass, "due", True)
    return saved


def bits(folder):
    """Return the numbers of all files of results."""
    found = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            found |= {f"{path.name} {n}": arrays[n].tobytes() for n in arrays.files if n not in ("meta", "values")}
    return found | {"csv": (folder / "levels.csv").read_bytes()}


@pytest.fixture
def whole(job):
    result = jobs.run_job(job)
    assert result.failures == ()
    found = bits(job.parent / "out")
    for path in (job.parent / "out").iterdir():
        path.unlink()
    return found


def test_a_job_goes_on_from_wherever_it_was_broken_off(job, whole, monkeypatch):
    with monkeypatch.context() as patched:
        saves = break_after(patched, -1)
        jobs.run_job(job, resume=True)
    assert len(saves) > 40
    assert sorted(p.name for p in (job.parent / "out").iterdir()) == sorted(
        [f"{n}.npz" for n in ("line", "robust", "exact", "chosen", "counts", "clusters")]
        + ["levels.csv", "levels.moments", "report.json"]
    )
    for count in range(1, len(saves), 11):
        with monkeypatch.context() as patched:
            break_after(patched, count)
            with pytest.raises(Broken):
                jobs.run_job(job, resume=True, threads=1 + count % 3)
        jobs.run_job(job, resume=True, **({"engine": "serial"} if count % 2 else {"threads": 2}))
        assert bits(job.parent / "out") == whole, count


def test_broken_off_again_and_again(job, whole, monkeypatch):
    for _ in range(100):
        with monkeypatch.context() as patched:
            break_after(patched, 8)
            try:
                jobs.run_job(job, resume=True)
            except Broken:
                continue
        break
    else:
        pytest.fail("it never comes to its end")
    assert bits(job.parent / "out") == whole


def test_finished_fits_are_not_done_again(job, monkeypatch):
    with monkeypatch.context() as patched:
        saves = break_after(patched, -1)
        jobs.run_job(job, resume=True)
    with monkeypatch.context() as patched:
        break_after(patched, len(saves) - 1)
        with pytest.raises(Broken):
            jobs.run_job(job, resume=True)
    with monkeypatch.context() as patched:
        again = break_after(patched, -1)
        jobs.run_job(job, resume=True)
    assert len(again) <= 2


def broken_off(job, monkeypatch, after=9):
    with monkeypatch.context() as patched:
        break_after(patched, after)
        with pytest.raises(Broken):
            jobs.run_job(job, resume=True)
    return job.parent / "out" / ".job.checkpoint"


def test_a_changed_job_is_refused_by_name(job, monkeypatch):
    folder = broken_off(job, monkeypatch)
    job.write_text(JOB.replace("errors: HC3", "errors: HC1").replace("folds: 4", "folds: 5"))
    with pytest.raises(UsageError, match=r"has changed since it was broken off \(fits.robust, fits.chosen\)"):
        jobs.run_job(job, resume=True)
    job.write_text(JOB.replace("target: x5", "target: x3", 1))
    with pytest.raises(UsageError, match=r"\(data.target\)"):
        jobs.run_job(job, resume=True)
    job.write_text(JOB + "threads: 2\n")  # how, not what
    jobs.run_job(job, resume=True)
    assert not folder.exists()


def test_changed_data_are_refused_by_name(job, monkeypatch):
    broken_off(job, monkeypatch)
    rows = np.load(job.parent / "a.npy")
    np.save(job.parent / "a.npy", rows + 1)
    with pytest.raises(ChangedError, match="the data have changed since the job was broken off"):
        jobs.run_job(job, resume=True)


def test_another_version_is_refused_by_name(job, monkeypatch):
    folder = broken_off(job, monkeypatch)
    text = (folder / "job.json").read_text()
    (folder / "job.json").write_text(json.dumps(json.loads(text) | {"version": "0.0.1"}))
    with pytest.raises(UsageError, match=r"was made by streamreg 0\.0\.1"):
        jobs.run_job(job, resume=True)


def test_a_damaged_note_of_the_job_does_no_harm(job, whole, monkeypatch):
    folder = broken_off(job, monkeypatch)
    (folder / "job.json").write_text("{")
    jobs.run_job(job, resume=True)
    assert bits(job.parent / "out") == whole


def test_the_job_file_can_ask_for_it(job, whole, monkeypatch):
    job.write_text(JOB + "checkpoint: true\n")
    with monkeypatch.context() as patched:
        break_after(patched, 5)
        with pytest.raises(Broken):
            jobs.run_job(job)
    assert (job.parent / "out" / ".job.checkpoint").is_dir()
    assert main(["run", str(job), "--json"]) == 0
    assert bits(job.parent / "out") == whole
    assert not (job.parent / "out" / ".job.checkpoint").exists()


def test_without_output_it_lies_beside_the_job(job, monkeypatch):
    job.write_text(JOB[: JOB.index("output:")])
    with monkeypatch.context() as patched:
        break_after(patched, 5)
        with pytest.raises(Broken):
            jobs.run_job(job, resume=True)
    assert (job.parent / ".job.checkpoint").is_dir()
    jobs.run_job(job, resume=True)
    assert sorted(p.name for p in job.parent.iterdir()) == ["a.npy", "job.yaml"]


def test_two_jobs_on_one_folder(job):
    with locked(job.parent / "out"), pytest.raises(UsageError, match=r"output.folder: .*another run writes to this"):
        jobs.run_job(job)
    jobs.run_job(job)


def test_a_lock_survives_no_owner(job):
    """A process that is killed leaves the file of its lock, which then holds nobody up."""
    code = """
import sys, time
from streamreg.persist.lock import locked
with locked(sys.argv[1]):
    print(1, flush=True)
    time.sleep(60)"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(job.parent / "out")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "1\n"
        with pytest.raises(UsageError, match="another run writes"):
            jobs.run_job(job)
        process.kill()
    assert (job.parent / "out" / ".streamreg-lock").exists()
    jobs.run_job(job)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_ended(tmp_path, number):
    random = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", random.normal(size=(400_000, 60)))  # six partitions
    job = tmp_path / "job.yaml"
    job.write_text(
        "data: {path: a.npy, target: x59}\nfits:\n  exact: {kind: linear, precision: exact}\n"
        "  robust: {kind: linear, errors: HC1}\noutput: {folder: out}\nthreads: 1\n"
    )
    code = """
import sys
from streamreg.scans import checkpoint
checkpoint.SECONDS = 0.0
checkpoint.Pass.due = True
from streamreg.__main__ import main
sys.exit(main(["run", "job.yaml", "--resume"]))"""
    folder = tmp_path / "out" / ".job.checkpoint"
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(folder.glob("fits.*/*.pass")) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(number)
        said = process.stderr.read()
        code = process.wait(timeout=30)
    assert (code, said) in [(143, "error: terminated\n"), (-signal.SIGKILL, "")]
    assert list(folder.glob("fits.*/*.pass"))
    again = jobs.run_job(job, resume=True)
    assert again.failures == ()
    plain = jobs.run_job(job)
    for name in plain.fits:
        for what in ("coef", "std_errors"):
            assert getattr(again.fits[name], what).tobytes() == getattr(plain.fits[name], what).tobytes()
    assert not folder.exists()
