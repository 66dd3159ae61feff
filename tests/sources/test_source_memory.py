"""Reading a file takes little memory, whatever its size."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

CODE = """
import resource, sys, streamreg.sources as sources

def peak():
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # Not ru_maxrss, which a new process takes over from the one it was forked from.
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024

from importlib import import_module
import_module("streamreg.sources." + sys.argv[2])
source = sources.open(sys.argv[1])
part, *_ = source.partitions()
next(part.chunks(1024))
before = peak()
rows = sum(len(chunk) for part in source.partitions() for chunk in part.chunks(1024))
after = peak()
print(rows, after - before)
"""


def write(path: Path, kind: str, x: np.ndarray) -> str:
    """Write `x` and return the module that reads it."""
    if kind.startswith("npy"):
        np.save(path, np.asfortranarray(x) if "Fortran" in kind else x)
        return "npy"
    if kind.startswith("zarr"):
        options: dict[str, Any] = {"compressors": None} if "plain" in kind else {}
        if "library" in kind:
            options["filters"] = zarr.codecs.TransposeCodec(order=(1, 0))
        zarr.create_array(path, data=x, chunks=(5000, 100), **options)
        return "zarr"
    with h5py.File(path, "w") as file:
        chunks = None if "contiguous" in kind else (1000, 100)
        compression = next((c for c in ("lzf", "gzip") if c in kind), None)
        file.create_dataset("X", data=x, chunks=chunks, compression=compression)
    return "hdf5"


KINDS = ["npy", "npy Fortran", "hdf5 contiguous", "hdf5 chunked", "hdf5 lzf", "hdf5 gzip"]


@pytest.mark.parametrize("kind", [*KINDS, "zarr plain", "zarr zstd", "zarr library"])
def test_peak_memory_does_not_grow_with_the_file(kind: str, tmp_path: Path) -> None:
    suffix = {"npy": ".npy", "hdf5": ".h5", "zarr": ".zarr"}[kind.split()[0]]
    path = tmp_path / f"a{suffix}"
    x = np.tile(np.random.default_rng(0).integers(0, 9, (1000, 100)).astype(float), (120, 1))
    module = write(path, kind, x)
    done = subprocess.run([sys.executable, "-c", CODE, str(path), module], check=True, capture_output=True, text=True)
    rows, grown = done.stdout.split()
    assert int(rows) == 120_000
    assert float(grown) < 48  # MB; the data are 96
