"""What a process leaves behind that is killed while it writes goes when the next one writes there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import streamreg as sr
from streamreg.persist import atomic

KILLED = """
import os, signal, sys
from streamreg.persist import table_writer
from streamreg.tools import generate
real = generate._slabs
def killed(*arguments):
    for k, slab in enumerate(real(*arguments)):
        if k == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        yield slab
generate._slabs = killed
generate.generate(sys.argv[1], rows=20_000, columns=50)
"""


@pytest.mark.parametrize("suffix", ["npy", "h5", "zarr"])
def test_generate(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    other = tmp_path / f".a-{atomic._here()}-{os.getpid()}-living.{suffix}"
    foreign = tmp_path / f".a-00000000-1-elsewhere.{suffix}"
    for file in (other, foreign):
        file.write_text("of a process that still writes, and of another machine")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=60, check=False)
    assert done.returncode < 0
    left = set(tmp_path.iterdir()) - {other, foreign}
    assert left
    assert all(file.name.startswith(".a") for file in left)
    sr.generate(path, rows=3000, columns=3)
    assert set(tmp_path.iterdir()) == {path, Path(f"{path}.json"), other, foreign}
