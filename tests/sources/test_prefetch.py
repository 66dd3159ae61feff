"""A fold asks the system for the bytes of the rows that come next, and nothing else depends on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streamreg as sr
from streamreg.sources.stored import files, raw

ROWS = np.random.default_rng(0).normal(size=(300_000, 31))
Asked = list[tuple[str, tuple[int, ...], int]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    found: Asked = []

    def record(path: str, offsets: Sequence[int], length: int) -> None:
        found.append((path, tuple(offsets), length))

    monkeypatch.setattr(raw, "prefetch", record)
    return found


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("threads", [1, 3])
def test_each_partition_but_the_first_is_asked_for(tmp_path: Path, asked: Asked, order: Any, threads: int) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, np.asarray(ROWS, order=order))
    source = sr.open(path)
    parts = source.partitions()
    assert len(parts) > 2
    sr.scan(source, threads=threads)
    assert len(asked) == len(parts) - 1
    for part, (name, offsets, length) in zip(parts[1:], asked, strict=True):
        held = path.read_bytes()
        assert name == str(path)
        found = np.frombuffer(b"".join(held[a : a + length] for a in offsets)).reshape(len(offsets), -1)
        expected = ROWS[part.start : part.stop]
        assert (found == (expected.T if order == "F" else expected.reshape(1, -1))).all()


def test_filtered_rows_are_asked_for_too(tmp_path: Path, asked: Asked) -> None:
    np.save(tmp_path / "rows.npy", ROWS)
    source = sr.open(tmp_path / "rows.npy", where="x0 > 0")
    sr.scan(source)
    assert len(asked) == len(source.partitions()) - 1


def test_files_that_are_short_or_gone_are_no_errors(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"1" * 100)
    files.prefetch(str(path), [0, 50, 10**9], 10**7)
    files.prefetch(str(tmp_path / "gone"), [0], 10)
