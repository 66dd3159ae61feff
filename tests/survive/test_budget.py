"""A bound on memory: how it is spent, what keeps to it, and what is refused before a row is read."""

import subprocess
import sys

import numpy as np
import pytest

from streamreg import jobs
from streamreg.engines.serial import Serial
from streamreg.errors import ConfigError, UsageError
from streamreg.jobs.budget import Table, as_bytes, budget
from streamreg.models.needs import Needs
from streamreg.stats.grouped import Column, Hash

MB = 10**6
TABLE_OF_ARROW = 140 * 2**20
TABLE = Table(rows=10**7, columns=101, piece=2**20, suffix=".npy")


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GiB", 2**31), ("300MB", 3 * 10**8), ("1.5 kB", 1500), (4096, 4096), ("1_000", 1000), ("1TiB", 2**40)],
)
def test_sizes(text, size):
    assert as_bytes(text) == size


@pytest.mark.parametrize("text", ["", "two", "2 XB", "-1MB", 0, True, "GB", "2iB", "nan", "infGB", None])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="is no size of memory"):
        as_bytes(text)


@pytest.mark.parametrize(
    "needs",
    [
        Needs(),
        Needs(exact=True),
        Needs(apart=Hash(10)),
        Needs(apart=Column("g"), memory=2**30),
        Needs(keys=("firm",), memory=2**28),
        Needs(trains=True, memory=2**28),
    ],
)
def test_whatever_is_granted_keeps_to_the_bound(needs):
    last = 0
    for memory in range(10 * MB, 4000 * MB, 37 * MB):
        try:
            kept = budget([needs], TABLE, 64, memory)
        except UsageError:
            assert last == 0, "more memory never hurts"
            continue
        assert kept.use.total <= memory
        assert 1 <= kept.threads <= 64
        last = kept.threads
    assert last >= 1


def test_without_bound_nothing_changes():
    kept = budget([Needs(apart=Column("g"), memory=2**30)], TABLE, 64, None)
    assert (kept.threads, kept.groups) == (64, None)


JOB = """\
data:
  path: a.npy
  target: x2
fits:
  line: {kind: linear}
  robust: {kind: linear, errors: {cluster: x1}, features: [x0]}
memory: MEMORY
"""


@pytest.fixture
def job(tmp_path):
    rows = np.random.default_rng(0).integers(0, 50, (4000, 3)).astype(float)
    np.save(tmp_path / "a.npy", rows)

    def write(memory, more=""):
        (tmp_path / "job.yaml").write_text(JOB.replace("MEMORY", memory) + more)
        return jobs.load(tmp_path / "job.yaml")

    return write


def test_plan_tells_how_memory_is_spent(job):
    plan = jobs.plan(job("500MB"))
    assert plan.memory == 500 * MB
    assert plan.use.total <= plan.memory
    assert plan.peak_memory == plan.use.total
    text = " ".join(str(plan).split())
    assert "memory at most 500.0 MB" in text
    assert "Memory: libraries 83.9 MB, reading" in text
    assert plan.to_dict()["use"]["groups"] == plan.use.groups > 0


def test_what_cannot_fit_is_refused_before_reading(job, monkeypatch):
    small = job("50MB")
    monkeypatch.setattr(Serial, "map", None)  # nothing is read
    for task in (jobs.plan, jobs.run):
        with pytest.raises(UsageError, match=r"line 7: memory: 50.0 MB do not hold the job.*takes about 1"):
            task(small)


def test_results_do_not_depend_on_it(job):
    free, bound = jobs.run(job("10GB")), jobs.run(job("200MB"))
    for name in free.fits:
        assert free.fits[name].coef.tobytes() == bound.fits[name].coef.tobytes()
        assert free.fits[name].std_errors.tobytes() == bound.fits[name].std_errors.tobytes()


def test_memory_is_that_of_this_process(job):
    with pytest.raises(ConfigError, match="line 7: memory is that of this process"):
        job("1GB", "engine: dask\n")
    with pytest.raises(ConfigError, match=r"line 7: memory.*is no size of memory"):
        job("many")


@pytest.mark.parametrize("fit", ["{kind: linear, precision: exact}", "{kind: linear, errors: {cluster: x5}}"])
def test_peak_of_a_process_keeps_to_the_bound(tmp_path, fit):
    rows = np.random.default_rng(0).normal(size=(400_000, 10))
    rows[:, 5] = np.random.default_rng(1).permutation(len(rows))
    np.save(tmp_path / "a.npy", rows)
    (tmp_path / "job.yaml").write_text(f"data: {{path: a.npy, target: x9}}\nfits:\n  line: {fit}\nmemory: 200MB\n")
    code = "import sys; from streamreg import jobs; print(jobs.run_job(sys.argv[1]).peak_memory)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "job.yaml")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) <= 200 * MB


def test_a_parquet_file_of_too_many_row_groups_is_refused_before_it_is_opened(tmp_path, monkeypatch):
    """What describes them is read first, and as a whole."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": np.arange(2000.0), "y": np.arange(2000.0)}), path, row_group_size=2)
    job = tmp_path / "job.yaml"
    job.write_text(
        "data: {path: a.parquet, target: y}\nfits:\n  line: {kind: linear, intercept: false}\nmemory: 200MB\n"
    )
    whole = jobs.plan(jobs.load(job)).use
    assert 12 * 10**5 < whole.libraries - TABLE_OF_ARROW < 12 * 10**6
    monkeypatch.setattr("streamreg.jobs.budget._DESCRIBED", 10**4)
    monkeypatch.setattr("streamreg.jobs.sections.Data.open", lambda self: pytest.fail("it was opened"))
    for act in (jobs.plan, jobs.run):
        with pytest.raises(UsageError, match=r"line 4: memory: .*describes the row groups of .*a.parquet"):
            act(jobs.load(job))
