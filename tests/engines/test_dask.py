"""A Dask cluster: how much makes a task, and what is wrong with workers is found first."""

import json
import os
import signal
from unittest import mock

import cases
import numpy as np
import pytest
from cases import source as rows
from helpers import Cut

import streamreg as sr
from streamreg import jobs
from streamreg.cli import main
from streamreg.engines.choose import choose
from streamreg.engines.dask import Dask, local
from streamreg.engines.serial import Serial
from streamreg.errors import DataError, UsageError
from streamreg.scans.fold import folded
from streamreg.stats.moments import Moments


def test_tasks_hold_more_where_there_are_many_partitions(dask_engine):
    assert dask_engine.workers == 2
    assert [dask_engine.share(["part"] * n) for n in (0, 1, 8, 25, 100, 10_000)] == [1, 1, 1, 4, 13, 64]
    # Rows that travel with a task are few enough to wait for their turn.
    assert [dask_engine.share(["part"] * 10_000, nbytes) for nbytes in (10**8, 2**40, 2**45)] == [1250, 19, 1]
    assert dask_engine.share([b"x" * 2**22] * 100) == 1
    assert dask_engine.share([b"x" * 2**24] * 100) == 1


@pytest.mark.parametrize("package", ["numpy", "streamreg", "python"])
def test_workers_with_other_versions_are_refused(dask_engine, package):
    client = dask_engine.client
    found = client.get_versions(packages=["streamreg"])
    worker = next(iter(found["workers"].values()))["packages"]
    for version, words in (("0.0.1", f"has {package} 0.0.1"), (None, f"lacks {package}")):
        worker[package] = version
        with mock.patch.object(client, "get_versions", return_value=found), pytest.raises(UsageError, match=words):
            choose(client)


def test_an_asynchronous_client_is_refused():
    with pytest.raises(UsageError, match="asynchronous"):
        Dask(mock.Mock(asynchronous=True, status="running"))


@pytest.mark.filterwarnings("ignore")  # of the library, about the worker that it starts again
def test_the_work_of_a_lost_worker_is_done_again_with_the_same_bits():
    source = Cut(rows(), range(500, 9000, 500), (400,))
    design, statistic = cases.design(), Moments(cases.ALL)
    expected = folded(source, design, statistic, engine=Serial()).state.to_arrays()
    with local(2) as engine:
        killed = []

        def kill(count):
            if not killed:
                killed.append(next(iter(engine.client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        found = folded(source, design, statistic, engine=engine, progress=kill).state.to_arrays()
    assert killed
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.filterwarnings("ignore")  # of the library, about the workers that it starts again
def test_all_workers_lost_at_once_and_one_added_amid_a_scan():
    source = Cut(rows(), range(200, 9000, 200), (400,))
    design, statistic = cases.design(), Moments(cases.ALL)
    expected = folded(source, design, statistic, engine=Serial()).state.to_arrays()
    with local(2) as engine:
        done = []

        def disturb(count):
            done.append(count)
            if len(done) == 2:
                for pid in engine.client.run(os.getpid).values():
                    os.kill(pid, signal.SIGKILL)
            if len(done) == 4:
                engine.client.cluster.scale(3)

        found = folded(source, design, statistic, engine=engine, progress=disturb).state.to_arrays()
        engine.client.wait_for_workers(3, timeout=30)
        again = folded(source, design, statistic, engine=engine).state.to_arrays()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        np.testing.assert_array_equal(again[name], array)


def test_a_cluster_that_is_closed_is_said_in_one_line():
    with local(1) as engine:
        results = engine.map(abs, range(100))
        assert next(results) == 0
    with pytest.raises(DataError, match="closed during the scan"):
        list(results)
    with pytest.raises(UsageError, match="closed"):
        choose(engine.client)


def test_a_worker_that_cannot_read_the_data_is_named(dask_engine):
    here = os.getpid()

    def reads(item):
        if os.getpid() != here:
            raise FileNotFoundError(f"no {item}")

    with pytest.raises(DataError, match=r"rows\.npy: Dask worker tcp://.* cannot read it \(no part\); put it where"):
        dask_engine.check(reads, "part", "rows.npy")

    def damaged(item):
        raise DataError("damaged")

    with pytest.raises(DataError, match=r"^damaged$"):
        dask_engine.check(damaged, "part", "rows.npy")


@pytest.mark.filterwarnings("ignore")  # of the library, about workers that it starts again
def test_a_task_that_ends_its_workers_is_said_in_one_line(dask_engine):
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        local(1) as engine,
        pytest.raises(DataError, match="a task ended every Dask worker that tried it"),
    ):
        list(engine.map(os._exit, [1]))


def test_commands_and_jobs_use_a_cluster(dask_engine, tmp_path, capsys):
    address = dask_engine.client.scheduler.address
    data = tmp_path / "a.npy"
    np.save(data, np.random.default_rng(1).normal(size=(3000, 4)))
    expected = sr.Linear().fit(sr.open(data, target="x3"))

    def call(*arguments, code=0):
        assert main([str(a) for a in arguments]) == code
        return capsys.readouterr()

    fit = ["fit", data, "--target", "x3", "--json"]
    for how in (["--scheduler", address], ["--engine", "serial"], ["--engine", "dask", "--scheduler", address]):
        assert json.loads(call(*fit, *how).out)["coef"] == json.loads(call(*fit).out)["coef"]
    assert "leave out --engine serial" in call(*fit, "--engine", "serial", "--scheduler", address, code=2).err
    assert "--engine dask needs the cluster" in call(*fit, "--engine", "dask", code=2).err
    assert "no engine 'cloud'" in call(*fit, "--engine", "cloud", code=2).err
    job = tmp_path / "job.yaml"
    for engine in (address, "dask", "serial", "{kind: dask, workers: 1}"):
        job.write_text(f"data: {{path: a.npy, target: x3}}\nfits:\n  line: {{kind: linear}}\nengine: {engine}\n")
        np.testing.assert_array_equal(sr.run_job(job).fits["line"].coef, expected.coef)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("cloud", "line 4: engine: no engine 'cloud'"),
        ("{kind: dask, workers: 0}", "workers is 0; it should be greater than 0"),
        ("{kind: slurm}", "engine.kind is 'slurm'"),
        ("{kind: dask, worker: 2}", "engine: no option 'worker'; did you mean 'workers'"),
        ("dask\nthreads: 2", "line 5: threads are those of this process"),
    ],
)
def test_mistakes_in_a_jobs_engine_are_said_with_their_line(tmp_path, engine, words):
    job = tmp_path / "job.yaml"
    job.write_text(f"data: {{path: a.npy, target: x3}}\nfits:\n  line: {{kind: linear}}\nengine: {engine}\n")
    with pytest.raises(UsageError) as caught:
        sr.run_job(job)
    assert words in str(caught.value)


def test_arrays_that_the_cluster_holds_are_folded_where_they_are(dask_engine):
    import dask.array as da

    x, y = cases.rows()
    expected = sr.Linear().fit((x, y))
    client = dask_engine.client
    for held in (False, True):
        blocks = da.from_array(x, chunks=(1024, 5)), da.from_array(y, chunks=1024)
        if held:
            blocks = tuple(client.persist(block) for block in blocks)
        sent = []
        submit = client.submit

        def counted(function, *arguments, _sent=sent, _submit=submit, **options):
            _sent.append(len(arguments[1]))
            return _submit(function, *arguments, **options)

        with mock.patch.object(client, "submit", counted):
            found = sr.Linear().fit(sr.open(blocks), engine=dask_engine.client)
        assert (sum(sent) < x.nbytes / 10) == held
        np.testing.assert_array_equal(found.coef, expected.coef)
        np.testing.assert_array_equal(found.std_errors, expected.std_errors)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("{kind: dask, workers: 1}", "a Dask cluster on this machine, 1 worker"),
        ("tcp://10.0.0.1:8786", "the Dask cluster of tcp://10.0.0.1:8786"),
    ],
)
def test_a_plan_names_the_engine(tmp_path, engine, words):
    np.save(tmp_path / "a.npy", cases.rows()[0])
    job = tmp_path / "job.yaml"
    job.write_text(f"data: {{path: a.npy, target: x3}}\nfits:\n  line: {{kind: linear}}\nengine: {engine}\n")
    plan = jobs.plan(jobs.load(job))
    assert words in plan.engine
    assert f"Rows are read by {plan.engine}." in " ".join(str(plan).split())
