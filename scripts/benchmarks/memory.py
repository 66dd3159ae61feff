"""Peak memory of a fresh `streamreg fit` process, for every format and for one and four million rows."""

import argparse
import subprocess
import sys
from pathlib import Path

import record

FORMATS = {
    "HDF5 contiguous": ("contiguous.h5", []),
    "HDF5 chunked": ("chunked.h5", ["--chunk-rows", "8192"]),
    "HDF5 gzip": ("gzip.h5", ["--chunk-rows", "8192", "--compression", "gzip"]),
    "Zarr": ("table.zarr", []),
    "npy": ("table.npy", []),
}


# The peak of a process is never below the memory of the one that starts it, so a small one does.
STARTER = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, 1, 0)])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak(command: list[str]) -> float:
    """Run a command and return its peak resident memory in MB."""
    starter = [sys.executable, "-S", "-c", STARTER, *command]
    done = subprocess.run(starter, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return int(done.stdout) * unit / 1e6


def streamreg(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "streamreg", *arguments]


def run(arguments: argparse.Namespace) -> None:
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, dict[str, float]] = {}
    for label, (name, extra) in FORMATS.items():
        figures[label] = {}
        for rows in arguments.rows:
            path = folder / f"{rows}-{name}"
            if not path.exists():
                make = streamreg("generate", str(path), "--rows", str(rows), "--columns", "100", *extra)
                subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
            figures[label][str(rows)] = peak(streamreg("fit", str(path), "--target", "y", *arguments.option))
            print(f"{label}, {rows:,} rows: {figures[label][str(rows)]:.0f} MB", flush=True)
    base = peak([sys.executable, "-c", "import numpy"])
    first, last = str(arguments.rows[0]), str(arguments.rows[-1])
    body = [
        [label, *(f"{found[str(rows)]:.0f}" for rows in arguments.rows), f"{found[last] / found[first]:.3f}"]
        for label, found in figures.items()
    ]
    header = ["peak MB of a fresh process", *(f"{rows:,} rows" for rows in arguments.rows), "ratio"]
    print(f"\n{record.table(header, body)}\n\n(import numpy alone: {base:.0f} MB)")
    print(f"written to {record.keep('memory', {'peak_mb': figures, 'numpy_mb': base})}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--folder", default="data/bench", help="where the files are made and kept")
    parser.add_argument("--option", nargs="*", default=[], help="more options for streamreg fit")
