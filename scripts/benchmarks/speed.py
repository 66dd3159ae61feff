"""Ratios of a whole fit to peers, to a raw read, and to the cross-product at the speed of the processor."""

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import peers
import record
from peers import Action

import streamreg as sr

Times = dict[str, list[float]]

LIMIT = "X'X at the speed of that product"
"""The useful half of the cross-product, at the speed that a large square product reaches on all cores."""

SIDE = 2048


class Claim(NamedTuple):
    """One action's time over the longest of others', and what is wanted of it; seconds where there are no others."""

    label: str
    one: str
    others: tuple[str, ...]
    wanted: str

    def values(self, times: Times) -> list[float]:
        """Return the ratio of every round; none if the actions were not run."""
        if any(label not in times for label in (self.one, *self.others)):
            return []
        rounds = zip(times[self.one], *(times[label] for label in self.others), strict=True)
        return [one / max(others, default=1.0) for one, *others in rounds]

    def row(self, times: Times) -> list[str]:
        values = self.values(times)
        unit = "" if self.others else " s"
        middle = f"{statistics.median(values):.2f}{unit}"
        return [self.label, middle, f"{min(values):.2f}-{max(values):.2f}", self.wanted]


CLAIMS = [
    Claim("npy fit / sklearnex", "npy", ("npy: sklearnex",), "<= 0.45, moonshot 0.3"),
    Claim("fit of arrays / sklearnex", "arrays", ("arrays: sklearnex",), ""),
    Claim("contiguous HDF5 fit / sklearnex on npy", "contiguous HDF5", ("npy: sklearnex",), "<= 0.45"),
    Claim("npy fit with BLAS only / sklearnex", "npy, BLAS kernel", ("npy: sklearnex",), "<= 0.9"),
    Claim("whole process / sklearnex's", "process", ("process: sklearnex",), "<= 0.2"),
    Claim("whole process with BLAS only / sklearnex's", "process, BLAS kernel", ("process: sklearnex",), ""),
    Claim("chunked HDF5 fit / (h5py + sklearnex)", "chunked HDF5", ("chunked HDF5: h5py + sklearnex",), "<= 0.5"),
    Claim("gzip HDF5 fit / h5py read", "gzip HDF5", ("gzip HDF5: h5py read",), "<= 0.6"),
    Claim("Zarr zstd fit / zarr-python read", "Zarr zstd", ("Zarr zstd: zarr-python read",), "<= 0.8"),
    Claim("npy fit / max(raw read, X'X)", "npy", ("raw read", LIMIT), "<= 2.2, moonshot 1.7"),
    Claim("float32 fit / max(raw read of float32, X'X in float64)", "float32", ("raw read, float32", LIMIT), "<= 2.2"),
    Claim("float32 / float64, same shape (half the bytes)", "float32", ("npy",), "<= 0.5"),
    Claim("exact / float64", "npy, exact", ("npy",), "<= 16"),
    Claim("exact / float64, uniform weights", "rows / 10, weighted, exact", ("rows / 10, weighted",), ""),
    Claim("4 times the rows", "4 x rows", ("npy",), "<= 4.3"),
    Claim("400 / 100 columns", "rows / 4, 400 columns", ("rows / 4",), "<= 18"),
    Claim("streamreg --help", "process: --help", (), "<= 0.5 s"),
    Claim("streamreg fit, 1,000 rows", "process: fit of 1,000 rows", (), "<= 1.0 s"),
]


class Worker:
    """A process with another environment that fits one file whenever it is told to; its imports are not timed."""

    CODE = (
        "import sys, streamreg as sr\n"
        "for line in sys.stdin: sr.Linear().fit(sr.open(sys.argv[1], target='y'), progress=False); print(flush=True)"
    )

    def __init__(self, path: Path, **environment: str) -> None:
        command = [sys.executable, "-c", self.CODE, str(path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self._process = subprocess.Popen(command, env={**os.environ, **environment}, **pipes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def __call__(self) -> None:
        self._process.stdin.write("\n")
        if not self._process.stdout.readline():
            raise RuntimeError("the process that fits ended")


def interleaved(actions: dict[str, Action], repeats: int) -> Times:
    """Return wall times of `repeats` rounds in which every action runs once, after one round to warm up."""
    times: Times = {label: [] for label in actions}
    for k in range(repeats + 1):
        for label, action in actions.items():
            time.sleep(0.25)  # threads of the libraries before, which wait for more work in a loop, have given up
            began = time.perf_counter()
            action()
            if k:
                times[label].append(time.perf_counter() - began)
    return times


def seconds(action: Action, repeats: int) -> list[float]:
    """Return wall times of one action, after one run to warm up."""
    return interleaved({"": action}, repeats)[""]


def made(folder: Path, name: str, rows: int, columns: int = 100, **options: object) -> Path:
    path = folder / f"{rows}x{columns}-{name}"
    if not path.exists():
        sr.generate(path, rows=rows, columns=columns, **options)
    return path


def fit(path: Path, **options: object) -> Action:
    return lambda: sr.Linear(**options).fit(sr.open(path, target="y"), progress=False)


def split(npy: Path) -> tuple[np.memmap, np.memmap]:
    """Return features and target of a .npy file in files of their own, mapped: contiguous, as peers like them."""
    table = np.load(npy, mmap_mode="r")
    mapped = []
    for name, part in (("x", table[:, :-1]), ("y", table[:, -1])):
        path = npy.with_name(f"{npy.stem}.{name}.npy")
        if not path.exists():
            np.save(path, part)
        mapped.append(np.load(path, mmap_mode="r"))
    return mapped[0], mapped[1]


def process(*arguments: str, **environment: str) -> Action:
    """Return the start of a process, its imports included; a checkout is compiled first, as what pip installs is."""
    compileall.compile_dir(Path(sr.__file__).parent, quiet=1)
    command = [sys.executable, *arguments]
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})


def actions(folder: Path, rows: int, blas: Worker) -> dict[str, Action]:
    """Return what is timed, by name; files are made where they are not there."""
    npy = made(folder, "table.npy", rows)
    contiguous = made(folder, "contiguous.h5", rows)
    chunked = made(folder, "chunked.h5", rows, chunk_rows=8192)
    gzip = made(folder, "gzip.h5", rows, compression="gzip")
    zstd = made(folder, "zstd.zarr", rows, compression="zstd")
    single = made(folder, "single.npy", rows, dtype="float32")
    long, wide = made(folder, "table.npy", 4 * rows), made(folder, "table.npy", rows // 4, 400)
    random = np.random.default_rng(0)
    heavy = [random.normal(size=shape) for shape in ((rows // 10, 100), rows // 10)] + [
        random.uniform(1, 2, rows // 10)
    ]
    weighted = sr.open(tuple(heavy))
    narrow, small = made(folder, "table.npy", rows // 4), made(folder, "table.npy", 1000)
    own = f"import streamreg as sr; sr.Linear().fit(sr.open({str(npy)!r}, target='y'))"
    x, y = split(npy)
    arrays = np.array(x), np.array(y)
    theirs = (
        f"import sys, numpy as np; sys.path.insert(0, {str(Path(__file__).parent)!r}); import peers; "
        f"peers.sklearnex(*(np.load(path, mmap_mode='r') for path in {[str(x.filename), str(y.filename)]!r}))()"
    )
    return {
        "npy": fit(npy),
        "npy, BLAS kernel": blas,
        "npy, exact": fit(npy, precision="exact"),
        "npy: sklearnex": peers.sklearnex(x, y),
        "arrays": lambda: sr.Linear().fit(arrays, progress=False),
        "arrays: sklearnex": peers.sklearnex(*arrays),
        "raw read": peers.raw_read(npy),
        "raw read, float32": peers.raw_read(single),
        "matrix product": peers.matrix_product(SIDE),
        "float32": fit(single),
        "contiguous HDF5": fit(contiguous),
        "chunked HDF5": fit(chunked),
        "chunked HDF5: h5py + sklearnex": peers.h5py_sklearnex(chunked),
        "gzip HDF5": fit(gzip),
        "gzip HDF5: h5py read": peers.h5py_read(gzip),
        "Zarr zstd": fit(zstd),
        "Zarr zstd: zarr-python read": peers.zarr_read(zstd),
        "4 x rows": fit(long),
        # One pass: among 400 coefficients there may be one so near zero that its digits need another.
        "rows / 4": fit(narrow, precision="float64"),
        "rows / 4, 400 columns": fit(wide, precision="float64"),
        "rows / 10, weighted": lambda: sr.Linear(precision="float64").fit(weighted, progress=False),
        "rows / 10, weighted, exact": lambda: sr.Linear(precision="exact").fit(weighted, progress=False),
        "process": process("-c", own),
        "process, BLAS kernel": process("-c", own, STREAMREG_KERNEL="blas"),
        "process: sklearnex": process("-c", theirs),
        "process: --help": process("-m", "streamreg", "--help"),
        "process: fit of 1,000 rows": process("-m", "streamreg", "fit", str(small), "--target", "y"),
    }


def run(arguments: argparse.Namespace) -> None:
    folder, rows = Path(arguments.folder), arguments.rows
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        blas = stack.enter_context(Worker(made(folder, "table.npy", rows), STREAMREG_KERNEL="blas"))
        known = actions(folder, rows, blas)
        chosen = {k: a for k, a in known.items() if not arguments.only or any(o in k for o in arguments.only)}
        times = interleaved(chosen, arguments.repeats)
    path = record.keep("speed", times)
    if "matrix product" in times:
        times[LIMIT] = [t * rows * 101 * 101 / 2 / SIDE**3 for t in times["matrix product"]]
    body = [[label, f"{statistics.median(t):.3f}", f"{min(t):.3f}-{max(t):.3f}"] for label, t in times.items()]
    print(record.table([f"{rows:,} x 100 float64, streamreg's fit unless said", "median s", "range"], body), end="\n\n")
    shown = [claim.row(times) for claim in CLAIMS if claim.values(times)]
    print(record.table(["ratio, round by round", "median", "range", "wanted"], shown))
    print(f"\nAn epoch of Keras beside a first script: scripts/bench training\nwritten to {path}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", default="data/bench", help="where the files are made and kept")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names to run")
