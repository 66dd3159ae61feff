"""The configurations of clusters: they are what the libraries that read them expect."""

from pathlib import Path

import yaml

FOLDER = Path(__file__).parents[2] / "configs" / "cluster"


def test_batch_systems_have_one_thread_a_worker():
    for kind in ("slurm", "pbs"):
        text = (FOLDER / f"{kind}.yaml").read_text()
        ((system, options),) = yaml.safe_load(text)["jobqueue"].items()
        assert system == kind
        assert options["processes"] == options["cores"]
        assert "# To change:" in text
        assert isinstance(options["walltime"], str)


def test_the_operator_s_workers_and_scheduler_have_the_same_image():
    text = (FOLDER / "kubernetes.yaml").read_text()
    found = yaml.safe_load(text)
    assert found["kind"] == "DaskCluster"
    (worker,) = found["spec"]["worker"]["spec"]["containers"]
    (scheduler,) = found["spec"]["scheduler"]["spec"]["containers"]
    assert worker["image"] == scheduler["image"]
    assert worker["args"][worker["args"].index("--nthreads") + 1] == "1"
    assert worker["volumeMounts"][0]["name"] == found["spec"]["worker"]["spec"]["volumes"][0]["name"]
    assert found["spec"]["scheduler"]["service"]["ports"][0]["port"] == 8786
    assert "# To change:" in text
