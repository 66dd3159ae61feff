"""A checkpoint is never taken for another computation, however alike; an interrupt leaves all that was done."""

from typing import Any

import numpy as np
import pytest

import streamreg as sr
from streamreg.engines.serial import Serial
from streamreg.errors import StreamregError, UsageError
from streamreg.scans import checkpoint as checkpoints


@pytest.fixture
def path(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    rows = random.normal(size=(9000, 5))
    rows[:, 3] = random.integers(0, 5, len(rows))
    rows[:, 4] = random.integers(0, 2, len(rows))
    np.save(tmp_path / "a.npy", rows)
    cuts = [(a, min(a + 1700, 9000)) for a in range(0, 9000, 1700)]
    monkeypatch.setattr("streamreg.sources.stored.table.row_ranges", lambda *_: cuts)
    return tmp_path / "a.npy"


def broken_off(monkeypatch, after, call):
    """Let Ctrl-C be pressed when so many partitions were read in all."""
    read, real = 0, Serial.map

    def interrupted(self: Any, function: Any, items: Any) -> Any:
        nonlocal read
        for result in real(self, function, items):
            if read == after:
                raise KeyboardInterrupt
            read += 1
            yield result

    with monkeypatch.context() as patched:
        patched.setattr(Serial, "map", interrupted)
        with pytest.raises(KeyboardInterrupt):
            call()


def test_an_interrupt_leaves_all_that_was_done(path, monkeypatch):
    folder = path.parent / "run"
    options: dict[str, Any] = {"target": "x4", "checkpoint": folder, "engine": "serial"}
    broken_off(monkeypatch, 4, lambda: sr.scan(path, **options))
    assert (folder / "001.pass").is_file()  # five seconds have not gone by
    read, real = 0, Serial.map

    def counted(self: Any, function: Any, items: Any) -> Any:
        nonlocal read
        for result in real(self, function, items):
            read += 1
            yield result

    monkeypatch.setattr(Serial, "map", counted)
    again = sr.scan(path, **options)
    assert read == 2
    plain = sr.scan(path, target="x4")
    for name, values in plain.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], values)


FITS = {
    "poisson": sr.Glm(family="poisson", target="x3", features=("x0", "x1")),
    "gaussian": sr.Glm(family="gaussian", target="x3", features=("x0", "x1")),
    "binomial": sr.Glm(family="binomial", target="x4", features=("x0", "x1")),
    "fewer": sr.Glm(family="poisson", target="x3", features=("x0",)),
    "no intercept": sr.Glm(family="poisson", target="x3", features=("x0", "x1"), intercept=False),
    "line": sr.Linear(target="x3", features=("x0", "x1")),
    "exact": sr.Linear(target="x3", features=("x0", "x1"), precision="exact"),
    "HC1": sr.Linear(target="x3", features=("x0", "x1"), errors="HC1"),
    "HC3": sr.Linear(target="x3", features=("x0", "x1"), errors="HC3"),
    "clusters": sr.Linear(target="x3", features=("x0", "x1"), errors={"cluster": "x4"}),
    "powers": sr.Linear(target="x3", features=("x0", "x1"), powers={"x0": 2}),
    "formula": sr.Linear(formula="x3 ~ x0 + x1"),
}


@pytest.mark.parametrize("first", ["poisson", "HC3", "exact", "line"])
@pytest.mark.parametrize("after", [3, 9])
def test_another_model_is_refused_or_right(path, monkeypatch, first, after):
    """It may share first passes with the one that was broken off; its numbers are its own all the same."""
    for name, model in FITS.items():
        if first in ("exact", "line") and after > 6:
            continue  # one pass of six partitions
        folder = path.parent / f"{first} {name}"
        broken_off(monkeypatch, after, lambda folder=folder: FITS[first].fit(path, checkpoint=folder, engine="serial"))
        try:
            found = model.fit(path, checkpoint=folder)
        except StreamregError as error:
            refused = str(error)
        else:
            refused = ""
        if refused:
            assert name != first
            assert "belongs to another computation" in refused
            continue
        plain = model.fit(path)
        assert found.coef.tobytes() == plain.coef.tobytes(), name
        assert found.std_errors.tobytes() == plain.std_errors.tobytes(), name


def test_rows_in_memory_are_refused(path):
    rows = np.load(path)
    for data in ((rows[:, :4], rows[:, 4]), {f"x{k}": rows[:, k] for k in range(5)}, iter([(rows[:, :4], rows[:, 4])])):
        model = sr.Linear(target="x4") if isinstance(data, dict) else sr.Linear()
        with pytest.raises(UsageError, match="save them to a file"):
            model.fit(data, checkpoint=path.parent / "run")


@pytest.mark.parametrize("share", np.linspace(0.0, 1.0, 9)[:-1])
def test_damage_at_any_place_falls_back(path, monkeypatch, share):
    """Bytes that were flipped, zeroed or cut off."""
    folder = path.parent / "run"
    plain = sr.scan(path, target="x4").to_arrays()
    for harm in ("flip", "zero", "cut"):
        monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
        with monkeypatch.context() as patched:
            patched.setattr(checkpoints.Pass, "due", True)
            call: Any = lambda: sr.scan(path, target="x4", checkpoint=folder, engine="serial")  # noqa: E731
            broken_off(patched, 4, call)
        file = folder / "001.pass"
        data = bytearray(file.read_bytes())
        at = int(share * len(data))
        if harm == "flip":
            data[at] ^= 0x10
        elif harm == "zero":
            data[at : at + 512] = bytes(len(data[at : at + 512]))
        else:
            del data[at:]
        file.write_bytes(data)
        again = sr.scan(path, target="x4", checkpoint=folder).to_arrays()
        for name, values in plain.items():
            np.testing.assert_array_equal(again[name], values)
