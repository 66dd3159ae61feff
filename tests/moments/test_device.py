"""Cross-products on a device of Keras's backend: here the processor, the same code as on a graphics card.

Every test runs in the library that Keras runs on; `test_other_libraries` does the laws again in the others installed.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import streamreg as sr
from streamreg import backend
from streamreg.design.design import Design
from streamreg.errors import DataError, UsageError
from streamreg.kernels import device as devices
from streamreg.scans.fold import fold
from streamreg.sources import base
from streamreg.sources import open as open_source
from streamreg.stats.moments import Moments

pytestmark = pytest.mark.keras

N = 20_000


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(N, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12) * 1e3
    x[:, 3] = rng.integers(0, 2, N)
    x[:, 7] *= 1e-9
    y = x @ rng.normal(size=12) + rng.normal(size=N)
    return x, y, rng.integers(1, 9, N) / 4.0


def moments(data, device, **options):
    source = open_source(data)
    design = Design.of(source)
    return fold(source, design, Moments(design.names, device=device), **options).total()


def apart(a, b):
    """Return the largest differences of cross-products and means, relative to the columns' sizes."""
    size = np.sqrt(np.where(np.diag(b.cross) > 0, np.diag(b.cross), 1.0))
    shift = (a.mean[0] - b.mean[0]) + (a.mean[1] - b.mean[1])
    return np.abs(np.tril(a.cross - b.cross) / np.outer(size, size)).max(), (np.abs(shift) / size).max()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.uint8, np.float16])
def test_a_device_finds_the_moments_that_the_kernel_finds(table, dtype, weighted):
    x, y, w = table
    x = np.abs(x % 100).astype(dtype)
    data = (x, y, w) if weighted else (x, y)
    here, there = moments(data, None), moments(data, "cpu")
    assert max(apart(there, here)) < 16 * 2.0**-53
    assert (there.weight, there.log_weight) == pytest.approx((here.weight, here.log_weight), rel=1e-14)
    np.testing.assert_array_equal(there.low, here.low)
    np.testing.assert_array_equal(there.high, here.high)


@pytest.mark.parametrize("weighted", [False, True])
def test_many_stages(table, weighted, monkeypatch):
    monkeypatch.setattr(devices, "_NUMBERS", 1)  # 4096 rows each
    data = table if weighted else table[:2]
    assert max(apart(moments(data, "cpu"), moments(data, None))) < 16 * 2.0**-53


def test_threads_do_not_change_a_bit(monkeypatch):
    monkeypatch.setattr(base, "PARTITION_BYTES", 2**21)  # five partitions
    x = np.random.default_rng(6).normal(size=(12_300, 100))
    assert len(list(open_source(x).partitions())) > 3
    found = [moments(x, "cpu", threads=t) for t in (1, 2, 4)]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].cross, other.cross)
        np.testing.assert_array_equal(found[0].mean, other.mean)
    assert max(apart(found[0], moments(x, None))) < 16 * 2.0**-53


@pytest.mark.parametrize("q", [1, 2, 600])
def test_any_number_of_columns(q):
    rng = np.random.default_rng(q)
    x = rng.normal(size=(9000 + q, q)) + 7.0
    assert max(apart(moments(x, "cpu"), moments(x, None))) < 16 * 2.0**-53


@pytest.mark.parametrize("rows", [2, 1023, 1024, 1025, 5 * 1024 + 7])
def test_any_number_of_rows(rows):
    x = np.random.default_rng(rows).normal(size=(rows, 3)) - 4.0
    assert max(apart(moments(x, "cpu"), moments(x, None))) < 16 * 2.0**-53


def test_a_heavy_row_does_not_drown_the_others():
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(4000, 4)), np.ones(4000)
    w[17] = 1e12
    there, here = moments((x, x[:, 0], w), "cpu"), moments((x, x[:, 0], w), None)
    assert max(apart(there, here)) < 16 * 2.0**-53


@pytest.mark.parametrize("unit", [1e200, 1e-200, 1.0])
def test_what_a_device_cannot_hold_goes_the_general_way(unit):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3000, 3)) * [1.0, unit, 1.0]
    y = rng.normal(size=3000)
    there, here = (sr.Linear(precision="float64", device=d).fit((x, y)) for d in ("cpu", None))
    np.testing.assert_allclose(there.coef, here.coef, rtol=1e-11)
    whole = np.column_stack([np.arange(3000) + 2**60, np.arange(3000) % 7])
    there, here = moments(whole, "cpu"), moments(whole, None)
    np.testing.assert_array_equal(there.cross, here.cross)


def test_promised_digits_hold_on_a_device(table):
    """The promise is that of the float64 moments: checked against the exact fit."""
    rng = np.random.default_rng(8)
    for trial in range(40):
        p = (1, 4, 11)[trial % 5 % 3]  # libraries translate anew for each number of columns
        mix = np.eye(p) + rng.normal(size=(p, p)) * 10.0 ** rng.uniform(-1, 2)
        x = rng.normal(size=(3000, p)) @ mix + rng.normal(size=p) * 10.0 ** rng.uniform(-2, 4)
        if trial % 3 == 0:
            x[:, 0] = rng.integers(0, 2, 3000)
        y = x @ rng.normal(size=p) + rng.normal(size=3000) * 10.0 ** rng.uniform(-4, 1)
        fit = sr.Linear(precision="float64", device="cpu").fit((x, y))
        exact = sr.Linear(precision="exact").fit((x, y))
        wrong = np.abs(fit.coef - exact.coef)
        assert (wrong <= np.abs(exact.coef) * 10.0**-fit.digits + 1e-16 * np.abs(exact.coef)).all()


def test_a_fit_and_a_scan_on_a_device(table, tmp_path):
    x, y, _ = table
    np.save(tmp_path / "x.npy", np.column_stack([x, y]))
    source = open_source(tmp_path / "x.npy", target="x12")
    here, there = (sr.Linear(precision="float64", device=device).fit(source) for device in (None, "cpu"))
    assert (np.abs(there.coef - here.coef) <= 2 * np.abs(here.coef) * 10.0 ** -np.minimum(here.digits, 15)).all()
    np.testing.assert_allclose(there.std_errors, here.std_errors, rtol=1e-9)
    assert there.model["device"] == "cpu"
    state = sr.scan(source, device="cpu")
    state.save(tmp_path / "x.moments")
    np.testing.assert_array_equal(sr.Linear(precision="float64").fit(tmp_path / "x.moments").coef, there.coef)
    twice = state.merge(sr.scan(source, device="cpu"))
    assert twice.n == 2 * N


@pytest.mark.parametrize("family", ["binomial", "poisson", "gaussian"])
def test_generalised_linear_models(table, family):
    x, y, w = table
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = y if family == "gaussian" else (y > y.mean()).astype(float)
    here, there = (sr.Glm(family=family, device=d).fit((x, y, w)) for d in (None, "cpu"))
    np.testing.assert_allclose(there.coef, here.coef, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(there.std_errors, here.std_errors, rtol=1e-9)


def test_a_value_that_is_not_finite_is_named():
    x = np.ones((3000, 2))
    x[2000, 1] = np.inf
    with pytest.raises(DataError, match=r"row 2,000"):
        sr.Linear(device="cpu").fit((x, np.arange(3000.0)))


@pytest.mark.parametrize(("name", "match"), [("gpu:63", "no device 'gpu:63'"), ("cpu:63", "sees .*cpu:0")])
def test_a_device_that_is_not_there(name, match):
    with pytest.raises(UsageError, match=match):
        sr.Linear(device=name).fit((np.eye(3), np.arange(3.0)))


def test_a_device_beside_the_usual_one(table):
    """JAX calls threads of the processor a second device: as a card is, it is not where work goes unless told so."""
    if "cpu:1" not in backend.devices():
        pytest.skip("one device")
    x, y, w = table
    for data in ((x, y), (x, y, w), (x.astype(np.float32), y)):
        assert max(apart(moments(data, "cpu:1"), moments(data, None))) < 16 * 2.0**-53
    line = sr.Keras(device="cpu:1").fit((x, y), progress=False)
    assert line.training["device"] == "cpu:1"
    assert sr.compare(sr.Linear().fit((x, y)), line).verdict == "agree"


def test_what_a_device_does_not_do(table):
    x, y, _ = table
    with pytest.raises(UsageError, match="device"):
        sr.Linear(device="toaster")
    with pytest.raises(UsageError, match="device"):
        sr.Linear(device="cpu", precision="exact").fit((x, y))
    with pytest.raises(UsageError, match="device"):
        sr.scan((x, y), device="cpu", folds=3)


def test_a_device_of_half_the_digits_is_refused(monkeypatch):
    """As a graphics card that has no double precision, or rounds products behind one's back, would be."""
    monkeypatch.setattr(
        devices.Device, "_tensor", lambda self, v: self._ops.cast(self._ops.convert_to_tensor(v), "float32")
    )
    with pytest.raises(UsageError, match="double precision"):
        devices.Device("cpu")


def test_memory_does_not_grow_with_the_rows():
    """A stage is what is held: its rows do not depend on how many there are."""
    assert devices.stage_rows(100) * 100 * 8 <= 2**25
    assert devices.stage_rows(1) * 8 <= 2**25
    assert devices.stage_rows(10**6) == 4096


@pytest.mark.skipif("STREAMREG_TEST_LIBRARY" in os.environ, reason="these are the others")
@pytest.mark.parametrize("library", ["jax", "torch"])
def test_other_libraries(library):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    env = os.environ | {"KERAS_BACKEND": library, "STREAMREG_TEST_LIBRARY": library}
    env["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"  # JAX then sees two devices
    again = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(again, env=env, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout[-3000:]
