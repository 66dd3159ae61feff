"""Rows that are kept in memory are taken from there by the compiled steps: the same batches, and the same bits."""

import gc
import weakref

import numpy as np
import pytest
from keras_data import labelled, table

import streamreg as sr
from streamreg import backend
from streamreg.design.design import Design
from streamreg.neural import network, options
from streamreg.neural import rows as rows_module
from streamreg.neural.batches import Batch, Stretch
from streamreg.neural.conditioning import Conditioning
from streamreg.neural.feed import parts
from streamreg.neural.losses import Loss
from streamreg.neural.rows import WINDOWS, Rows
from streamreg.neural.trainer import Trainer

pytestmark = pytest.mark.keras

N, SIZE = 1003, 64


def numbered(memory=2**30):
    """Rows whose target is their number, as they are."""
    backend.load()
    x = np.random.default_rng(0).normal(size=(N, 3))
    source = sr.open((x, np.arange(float(N))))
    problem = sr.scan(source, progress=False).problem("y", ("x0", "x1", "x2"), True)
    as_it_is = Conditioning.of(problem, "none", 3, scale_target=False)
    design = Design.of(source, None, "error").with_target()
    return Rows(source, design, as_it_is, 1.0, np.dtype(np.float32), "cpu:0", N, memory, memory, seed=5)


def targets(part):
    """Return the targets of each batch of a part."""
    if isinstance(part, Batch):
        return [backend.to_numpy(part.tensors[1])]
    y = backend.to_numpy(part.table[1])[backend.to_numpy(part.order)]
    return [y[at : min(at + part.size, part.stop)] for at in range(part.start, part.stop, part.size)]


def seen(rows, **options):
    return [batch for part in parts(rows, SIZE, **options) for batch in targets(part)]


@pytest.mark.parametrize("epoch", [None, 0, 1])
@pytest.mark.parametrize("memory", [2**30, 20_000, 4000])
def test_every_row_comes_once(memory, epoch):
    rows = numbered(memory)
    assert all(isinstance(part, Batch if epoch is None else Stretch) for part in parts(rows, SIZE, epoch))
    batches = seen(rows, epoch=epoch)
    assert [len(batch) for batch in batches] == [SIZE] * (N // SIZE) + [N % SIZE]
    order = np.concatenate(batches)
    np.testing.assert_array_equal(np.sort(order), np.arange(N))
    assert (epoch is None) == bool((np.diff(order) > 0).all())


def test_the_windows_of_a_file_share_the_memory():
    rows = numbered(memory=20_000)
    sizes = [len(x) for x, _, _, _ in rows.windows(SIZE, 0)]
    assert len(sizes) > 2
    assert max(sizes) * rows.row_bytes * WINDOWS <= 20_000
    assert all(size % SIZE == 0 for size in sizes[:-1])


def test_the_order_is_that_of_seed_and_epoch():
    whole = np.concatenate(seen(numbered(), epoch=3))
    np.testing.assert_array_equal(whole, np.random.default_rng([5, 3]).permutation(N))


@pytest.mark.parametrize("memory", [2**30, 40_000])
@pytest.mark.parametrize("together", [1, 4, 100])
@pytest.mark.parametrize("skip", [0, 1, 6, 15, 16])
@pytest.mark.parametrize("border", [None, 0, 7])
def test_stretches_leave_out_what_was_done_and_end_at_borders(together, skip, border, memory):
    rows = numbered(memory)
    found = list(parts(rows, SIZE, 2, skip, together, border))
    starts = skip + np.cumsum([0, *(part.batches for part in found)])
    assert all(part.batches <= together for part in found)
    assert border is None or skip >= border or border in starts
    batches, all_of_them = seen(rows, epoch=2, skip=skip, together=together, border=border), seen(rows, epoch=2)
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in all_of_them[skip:]]


LINES = [
    {"tolerance": 1e-12, "epochs": 5},
    {"optimizer": "adam", "conditioning": "standardise", "epochs": 4, "tolerance": 1e-12, "validation": 0.1},
    {"loss": "huber", "epochs": 5, "precision": "float64"},
    {"loss": "binary_cross_entropy", "epochs": 5},
]


@pytest.fixture
def fed(monkeypatch):
    """Let no device hold all rows: NumPy then gathers windows of them, and they are fed."""
    real = Rows.table

    def none(rows):
        assert real(rows) is not None
        monkeypatch.setattr(rows_module, "WINDOWS", 64)

    return lambda: monkeypatch.setattr(Rows, "table", none)


@pytest.mark.parametrize("options", LINES)
def test_a_line_has_the_bits_of_one_that_is_fed(fed, options):
    data = labelled(n=9011)[:2] if "binary" in options.get("loss", "") else table(n=9011)
    spec = sr.Keras(batch_size=200, **options)
    resident = spec.fit(data)
    fed()
    by_batches = spec.fit(data)
    np.testing.assert_array_equal(resident.coef, by_batches.coef)
    assert resident.intercept == by_batches.intercept
    assert resident.training["loss"] == by_batches.training["loss"]


def test_a_network_has_the_bits_of_one_that_is_fed(fed):
    x, y = table(n=9011)
    spec = sr.Keras(hidden=(8, 4), batch_size=200, epochs=3, validation=0.1)
    resident = spec.fit((x, y))
    fed()
    by_batches = spec.fit((x, y))
    np.testing.assert_array_equal(resident.predict(x), by_batches.predict(x))
    assert resident.history["loss"] == by_batches.history["loss"]
    assert resident.history["val_loss"] == by_batches.history["val_loss"]


def test_rows_of_the_last_batch_weigh_what_others_do():
    backend.load()
    random = np.random.default_rng(1)
    x, y, weight = random.normal(size=(7, 2)), random.normal(size=7), random.uniform(0.5, 2, size=7)
    order = random.permutation(7)
    line = network.line(2, False, "float64")
    trainer = Trainer(line, Loss.of("squared_error"), network.optimizer("sgd", 0.1), 4, np.dtype("float64"), "gradient")
    trainer.begin()
    tensors = backend.on_device([x, y, weight], "cpu:0")
    trainer.update(Stretch(tensors, *backend.on_device([order], "cpu:0"), 0, 7, 4), average=True)
    slopes, total = np.zeros(2), np.zeros(2)
    for rows in (order[:4], order[4:]):
        slopes = slopes - 0.1 * 2.0 / 4 * (weight[rows] * (x[rows] @ slopes - y[rows])) @ x[rows]
        total += slopes
    np.testing.assert_allclose(trainer.weights(), slopes, rtol=1e-6)
    assert trainer.averaged == 2
    assert trainer.met()[1] == pytest.approx(weight.sum())
    trainer.take_average()
    np.testing.assert_allclose(trainer.weights(), total / 2, rtol=1e-6)
    trainer.begin()
    trainer.add_up(Batch(tensors))
    residual = x @ (total / 2) - y
    sums = trainer.sums()
    np.testing.assert_allclose(sums.gradient, 2 * (weight * residual) @ x, rtol=1e-6)
    assert sums.loss == pytest.approx(weight @ residual**2, rel=1e-6)


def test_rows_are_in_memory_once_and_given_back():
    rows = numbered()
    x, _, _ = rows.table()
    rows._all[0][4, 2] = 77.0
    assert backend.to_numpy(x)[4, 2] == 77.0
    memory = weakref.ref(rows._all[0].base)
    del x
    rows.release()
    gc.collect()
    assert memory() is None


@pytest.fixture
def kept(monkeypatch):
    """Return what says whether a fit kept its rows, where a megabyte does not hold them."""
    monkeypatch.setattr(options, "_MEMORY_MB", 1)
    found = []
    monkeypatch.setattr(Rows, "release", lambda rows: found.append(rows.kept))

    def fit(data, **options):
        sr.Keras(epochs=1, tolerance=10.0, **options).fit(data)
        return found[-1]

    return fit


def test_arrays_are_kept_unless_told_otherwise(kept):
    assert kept(table(n=40_000))
    assert not kept(table(n=40_000), memory_mb=1)


def test_rows_of_files_and_of_arrays_that_take_much_less_are_not_kept(kept, tmp_path):
    x, y = table(n=40_000)
    np.save(tmp_path / "table.npy", np.column_stack([x, y]))
    assert not kept(sr.open(tmp_path / "table.npy", target="x6"))
    small = np.random.default_rng(0).integers(0, 9, x.shape).astype(np.int8)
    assert not kept((small, small[:, 0].astype(np.float16)))


def test_what_is_not_aligned_is_copied():
    backend.load()
    memory = np.arange(101, dtype=np.float32)
    for start in (0, 1):
        (tensor,) = backend.on_device([memory[start:]], "cpu:0")
        np.testing.assert_array_equal(backend.to_numpy(tensor), memory[start:])


@pytest.mark.parametrize("error", [type("OutOfMemoryError", (RuntimeError,), {}), ValueError])
def test_a_device_that_is_full_is_told_from_other_errors(monkeypatch, error):
    if backend.name() != "tensorflow":
        pytest.skip("what the other libraries raise here cannot be made up")
    backend.load()

    def fail(array):
        raise error("no")

    monkeypatch.setattr(backend, "_shared", fail)
    with pytest.raises(
        MemoryError if error is not ValueError else ValueError, match=r"cpu:0 does not hold 24 bytes|no"
    ):
        backend.on_device([np.zeros(3)], "cpu:0")
