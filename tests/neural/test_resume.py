"""A training that was killed goes on at the very batch, and ends with the bits of an unbroken one."""

import errno
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from keras_data import labelled, table

import streamreg as sr
from streamreg.errors import ChangedError, CorruptError, DataError, UsageError
from streamreg.neural.polish import Newton

pytestmark = pytest.mark.keras


class BrokenError(Exception):
    pass


def break_at(batch):
    """Return a callback that breaks training off after so many batches in all."""
    from streamreg.backend import load

    keras = load()

    class Break(keras.callbacks.Callback):
        seen = 0

        def on_train_batch_begin(self, number, logs=None):
            if self.seen == batch:
                raise BrokenError
            self.seen += 1

        def on_epoch_end(self, epoch, logs=None):
            if self.seen == batch:
                raise BrokenError

    return Break()


def stored(folder, x, y):
    np.save(folder / "data.npy", np.column_stack([x, y]))
    return sr.open(folder / "data.npy", target=f"x{x.shape[1]}")


SPECS = [
    (sr.Keras(batch_size=256, tolerance=1e-12, epochs=5), 0),
    (sr.Keras(batch_size=256, optimizer="adam", conditioning="standardise", epochs=6, tolerance=1e-12), 0),
    (sr.Keras(batch_size=256, loss="binary_cross_entropy", epochs=5, tolerance=1e-12), 1),
]


@pytest.mark.parametrize(("spec", "kind"), SPECS)
def test_a_line_goes_on(tmp_path, spec, kind):
    data = stored(tmp_path, *(labelled(n=3000)[:2] if kind else table(n=3000)))
    whole = spec.fit(data)
    for batch in (0, 5, 11, 12) if kind else (0, 5, 20, 24):  # of one mini-batch pass, or of two
        state = tmp_path / f"state{batch}"
        with pytest.raises(BrokenError):
            spec.fit(data, checkpoint=state, checkpoint_seconds=0, callbacks=[break_at(batch)])
        again = spec.fit(data, checkpoint=state, resume=True)
        np.testing.assert_array_equal(again.coef, whole.coef, err_msg=str(batch))
        assert again.intercept == whole.intercept
        assert again.training["loss"] == whole.training["loss"]


def test_a_network_goes_on(tmp_path):
    from streamreg.backend import load

    keras = load()

    def build(p):
        layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.2, seed=1), keras.layers.Dense(1)]
        return keras.Sequential([keras.Input((p,)), *layers])

    x, y = table(n=3000)
    data = stored(tmp_path, x, y)
    for spec in (
        sr.Keras(hidden=[8], epochs=3, batch_size=256, validation=0.1),
        sr.Keras(model=build, epochs=3, batch_size=256),
    ):
        whole = spec.fit(data)
        for batch in (3, 12, 13, 30):
            folder = tmp_path / f"state{spec.model is None}{batch}"
            with pytest.raises(BrokenError):
                spec.fit(data, checkpoint=folder, checkpoint_seconds=0, callbacks=[break_at(batch)])
            again = spec.fit(data, checkpoint=folder, resume=True)
            np.testing.assert_array_equal(again.predict(x), whole.predict(x), err_msg=str(batch))
            assert again.history["loss"] == whole.history["loss"]


@pytest.mark.slow
def test_kill_9_anywhere(tmp_path):
    data = stored(tmp_path, *table(n=60_000, p=20))
    code = f"""
import streamreg as sr
data = sr.open({str(tmp_path / "data.npy")!r}, target="x20")
sr.Keras(batch_size=64, epochs=4, tolerance=1e-12, memory_mb=1).fit(
    data, checkpoint={str(tmp_path / "state")!r}, checkpoint_seconds=0.05, resume=True)
"""
    whole = sr.Keras(batch_size=64, epochs=4, tolerance=1e-12, memory_mb=1).fit(data)
    killed = 0
    for extra in (0.1, 0.6):
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        state = tmp_path / "state" / "state.npz"
        before = state.stat().st_mtime_ns if state.exists() else 0
        while process.poll() is None and not (state.exists() and state.stat().st_mtime_ns > before):
            time.sleep(0.02)
        time.sleep(extra)
        killed += process.poll() is None
        process.kill()  # SIGKILL
        process.wait()
    assert killed
    again = sr.Keras(batch_size=64, epochs=4, tolerance=1e-12, memory_mb=1).fit(
        data, checkpoint=tmp_path / "state", resume=True
    )
    np.testing.assert_array_equal(again.coef, whole.coef)


def test_a_finished_training_is_not_done_again(tmp_path):
    data = stored(tmp_path, *table())
    first = sr.Keras().fit(data, checkpoint=tmp_path / "state")
    again = sr.Keras().fit(data, checkpoint=tmp_path / "state", resume=True)
    np.testing.assert_array_equal(again.coef, first.coef)
    assert again.status == first.status == "ok"
    assert len(again.training["loss"]) == len(first.training["loss"])


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    x, y = table()
    data = stored(tmp_path, x, y)
    sr.Keras(epochs=1).fit(data, checkpoint=tmp_path / "state")
    with pytest.raises(UsageError, match="holds a training"):
        sr.Keras(epochs=1).fit(data, checkpoint=tmp_path / "state")
    with pytest.raises(UsageError, match="epochs was 1"):
        sr.Keras(epochs=2).fit(data, checkpoint=tmp_path / "state", resume=True)
    with pytest.raises(UsageError, match="checkpoint=FOLDER"):
        sr.Keras(epochs=1).fit(data, resume=True)
    other = stored(tmp_path, x, y + 1)
    with pytest.raises(ChangedError, match="other data"):
        sr.Keras(epochs=1).fit(other, checkpoint=tmp_path / "state", resume=True)


def test_a_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch):
    x, y = table(300, 2)
    sr.Keras(epochs=1).fit((x, y), checkpoint=tmp_path)
    monkeypatch.setattr("streamreg.neural.checkpoint.__version__", "99.0")
    with pytest.raises(UsageError, match=r"was made by streamreg .* and this is 99\.0"):
        sr.Keras(epochs=1).fit((x, y), checkpoint=tmp_path, resume=True)


def test_a_damaged_checkpoint_is_said_to_be(tmp_path):
    data = stored(tmp_path, *table())
    sr.Keras(epochs=1).fit(data, checkpoint=tmp_path / "state")
    for file in (tmp_path / "state").glob("state.npz*"):
        file.write_bytes(b"PK nothing")
    with pytest.raises(CorruptError, match="damaged"):
        sr.Keras(epochs=1).fit(data, checkpoint=tmp_path / "state", resume=True)


@pytest.mark.parametrize("damaged", ["state.npz", "moments.npz"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, damaged):
    data = stored(tmp_path, *table(n=3000))
    spec = sr.Keras(batch_size=256, tolerance=1e-12, epochs=5)
    whole = spec.fit(data)
    with pytest.raises(BrokenError):
        spec.fit(data, checkpoint=tmp_path / "state", checkpoint_seconds=0, callbacks=[break_at(20)])
    file = tmp_path / "state" / damaged
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    again = spec.fit(data, checkpoint=tmp_path / "state", resume=True)
    np.testing.assert_array_equal(again.coef, whole.coef)
    assert again.training["loss"] == whole.training["loss"]


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "huber"])
def test_a_finished_training_keeps_its_errors_and_deviance(tmp_path, loss):
    data = stored(tmp_path, *labelled(n=3000)[:2])
    spec = sr.Keras(loss=loss)
    first = spec.fit(data, checkpoint=tmp_path / "state")
    again = spec.fit(data, checkpoint=tmp_path / "state", resume=True)
    np.testing.assert_array_equal(again.std_errors, first.std_errors)
    assert np.isfinite(again.std_errors).all()
    assert again.rss == first.rss
    np.testing.assert_equal(again.deviance, first.deviance)


def test_newton_steps_go_on_where_they_were_taken_back():
    newton, again = Newton(), Newton()
    newton.step(np.zeros(2), 1.0, np.ones(2), np.eye(2), 2.0**-53)
    newton.step(np.ones(2), 3.0, np.ones(2), np.eye(2), 2.0**-53)
    again.restore(newton.to_arrays())
    assert newton.halved
    for name in ("halved", "rank", "loss", "point", "move", "inverse"):
        np.testing.assert_array_equal(getattr(again, name), getattr(newton, name))


def test_a_checkpoint_of_another_model_of_that_name_is_refused(tmp_path):
    from streamreg.backend import load

    keras = load()

    def model(units):
        def build(p):
            return keras.Sequential([keras.Input((p,)), keras.layers.Dense(units), keras.layers.Dense(1)])

        return sr.Keras(model=build, epochs=1)

    data = stored(tmp_path, *table(n=300))
    model(3).fit(data, checkpoint=tmp_path / "state")
    with pytest.raises(UsageError, match="made with another model"):
        model(4).fit(data, checkpoint=tmp_path / "state", resume=True)


def test_a_full_disk_is_said_and_the_checkpoint_before_it_stays(tmp_path, monkeypatch):
    data = stored(tmp_path, *table())
    spec = sr.Keras(batch_size=64, tolerance=1e-12, epochs=4)
    whole, real, left = spec.fit(data), np.savez, iter(range(30))

    def full(file, **arrays):
        if next(left, None) is None:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, **arrays)

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", full)
        with pytest.raises(DataError, match="No space left"):
            spec.fit(data, checkpoint=tmp_path / "state", checkpoint_seconds=0, callbacks=[break_at(-1)])
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [
        "moments.npz",
        "state.npz",
        "state.npz.before",
    ]
    again = spec.fit(data, checkpoint=tmp_path / "state", resume=True)
    np.testing.assert_array_equal(again.coef, whole.coef)
