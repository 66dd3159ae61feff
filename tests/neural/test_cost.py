"""What training costs in memory. Time is measured by scripts/bench training."""

import json
import subprocess
import sys

import numpy as np
import pytest

pytestmark = [pytest.mark.keras, pytest.mark.slow]

MEASURE = """
import json, sys, time
import numpy as np
import streamreg as sr
from streamreg.backend import load

def status(key):
    # Not ru_maxrss: a new process begins with that of the one it was forked from.
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key)) / 1024

def now():
    return status("VmRSS")

keras = load()
"""


def measure(code):
    done = subprocess.run([sys.executable, "-c", MEASURE + code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Write 200,000 rows of 100 columns, AR(0.999) from one column to the next."""
    path = tmp_path_factory.mktemp("cost") / "data.npy"
    random = np.random.default_rng(0)
    x = random.normal(size=(200_000, 100))
    for j in range(1, 100):
        x[:, j] = 0.999 * x[:, j - 1] + (1 - 0.999**2) ** 0.5 * x[:, j]
    np.save(path, np.column_stack([x, x @ random.normal(size=100) + random.normal(size=len(x))]))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_and_accuracy_on_nearly_dependent_columns(file):
    found = measure(f"""
before = now()
data = sr.open({str(file)!r}, target="x100")
fit = sr.Keras(memory_mb=32).fit(data)
peak = status("VmHWM")
exact = sr.Linear().fit(data)
far = float(np.max(np.abs(fit.coef - exact.coef) / exact.std_errors))
print(json.dumps([peak - before, far, fit.passes, fit.status]))""")
    memory, far, passes, status = found
    assert memory < 600
    assert far < 1e-3
    assert passes <= 4
    assert status == "ok"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_twenty_fits_do_not_grow():
    grown = measure("""
random = np.random.default_rng(0)
x = random.normal(size=(20_000, 10))
sizes = []
for _ in range(22):
    sr.Keras().fit((x, x.sum(axis=1) + random.normal(size=len(x))))
    sizes.append(now())
print(json.dumps(sizes[-1] / sizes[1] - 1))""")
    assert grown < 0.05
