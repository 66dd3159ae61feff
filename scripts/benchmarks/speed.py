"""Ratios of a whole fit to peers, to a raw read, and to the cross-product at the speed of the processor."""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import record

import streamreg as sr

Action = Callable[[], object]


def interleaved(actions: dict[str, Action], repeats: int) -> dict[str, list[float]]:
    """Return wall times of `repeats` rounds in which every action runs once, after one round to warm up."""
    times: dict[str, list[float]] = {label: [] for label in actions}
    for k in range(repeats + 1):
        for label, action in actions.items():
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


def raw_read(path: Path) -> Action:
    def read() -> None:
        buffer = bytearray(2**22)
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    return read


def sklearnex(table: np.ndarray) -> Action:
    def run() -> None:
        from sklearnex.linear_model import IncrementalLinearRegression

        IncrementalLinearRegression().fit(table[:, :-1], table[:, -1])

    return run


def h5py_read(path: Path, into: Callable[[np.ndarray, np.ndarray], object] | None = None) -> Action:
    def run() -> None:
        import h5py

        with h5py.File(path) as file:
            x, y = file["X"], file["y"]
            step = (x.chunks[0] if x.chunks else 8192) * 8
            for start in range(0, len(x), step):
                block = x[start : start + step], y[start : start + step]
                if into is not None:
                    into(*block)

    return run


def h5py_sklearnex(path: Path) -> Action:
    def run() -> None:
        from sklearnex.linear_model import IncrementalLinearRegression

        model = IncrementalLinearRegression()
        h5py_read(path, model.partial_fit)()
        _ = model.coef_

    return run


def zarr_read(path: Path) -> Action:
    def run() -> None:
        import zarr

        x = zarr.open_group(path, mode="r")["X"]
        for start in range(0, x.shape[0], x.chunks[0]):
            x[start : start + x.chunks[0]]

    return run


def process(code: str, **environment: str) -> Action:
    command = [sys.executable, "-c", code]
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})


def run(arguments: argparse.Namespace) -> None:
    folder, rows = Path(arguments.folder), arguments.rows
    folder.mkdir(parents=True, exist_ok=True)
    npy = made(folder, "table.npy", rows)
    chunked = made(folder, "chunked.h5", rows, chunk_rows=8192)
    gzip = made(folder, "gzip.h5", rows, compression="gzip")
    zstd = made(folder, "zstd.zarr", rows, compression="zstd")
    single = made(folder, "single.npy", rows, dtype="float32")
    long, wide = made(folder, "table.npy", 4 * rows), made(folder, "table.npy", rows // 4, 400)
    narrow = made(folder, "table.npy", rows // 4)
    table = np.load(npy, mmap_mode="r")
    side = 2048
    square = np.random.default_rng(0).standard_normal((side, side))
    import_sklearnex = (
        "import numpy as np; from sklearnex.linear_model import IncrementalLinearRegression as M; "
        f"t = np.load({str(npy)!r}, mmap_mode='r'); M().fit(t[:, :-1], t[:, -1]).coef_"
    )
    own = f"import streamreg as sr; sr.Linear().fit(sr.open({str(npy)!r}, target='y'))"
    actions: dict[str, Action] = {
        "npy: streamreg": fit(npy),
        "npy: streamreg exact": fit(npy, precision="exact"),
        "npy: sklearnex": sklearnex(table),
        "raw read": raw_read(npy),
        "matrix product": lambda: square @ square,
        "process: streamreg": process(own),
        "process: streamreg, BLAS kernel": process(own, STREAMREG_KERNEL="blas"),
        "process: sklearnex": process(import_sklearnex),
        "chunked HDF5: streamreg": fit(chunked),
        "chunked HDF5: h5py + sklearnex": h5py_sklearnex(chunked),
        "gzip HDF5: streamreg": fit(gzip),
        "gzip HDF5: h5py read": h5py_read(gzip),
        "Zarr zstd: streamreg": fit(zstd),
        "Zarr zstd: zarr-python read": zarr_read(zstd),
        "float32 npy: streamreg": fit(single),
        "four times the rows: streamreg": fit(long),
        "a quarter of the rows: streamreg": fit(narrow),
        "a quarter of the rows, 400 columns: streamreg": fit(wide),
    }
    chosen = {k: a for k, a in actions.items() if not arguments.only or any(o in k for o in arguments.only)}
    times = interleaved(chosen, arguments.repeats)
    middle = {label: statistics.median(t) for label, t in times.items()}
    if "matrix product" in middle:
        # The cross-product's useful half, at the speed that a large square product reaches on all cores.
        middle["X'X at that speed"] = middle["matrix product"] * rows * 101 * 101 / 2 / side**3
    body = [[label, f"{v:.3f}", spread(times.get(label))] for label, v in middle.items()]
    print(record.table([f"{rows:,} x 100 float64", "median s", "range"], body), end="\n\n")
    print(record.table(["ratio", "", "wanted"], ratios(middle)))
    print(f"\nwritten to {record.keep('speed', times)}")


def ratios(s: dict[str, float]) -> list[list[str]]:
    """Return what the figures say about each other."""
    wanted = [
        ("npy fit / sklearnex", "npy: streamreg", ["npy: sklearnex"], "0.45"),
        ("exact / float64", "npy: streamreg exact", ["npy: streamreg"], "16"),
        ("whole process / sklearnex's", "process: streamreg", ["process: sklearnex"], "0.2"),
        ("BLAS kernel, whole process / sklearnex's", "process: streamreg, BLAS kernel", ["process: sklearnex"], ""),
        ("chunked HDF5 / (h5py + sklearnex)", "chunked HDF5: streamreg", ["chunked HDF5: h5py + sklearnex"], "0.5"),
        ("gzip HDF5 / h5py read", "gzip HDF5: streamreg", ["gzip HDF5: h5py read"], "0.6"),
        ("Zarr zstd / zarr-python read", "Zarr zstd: streamreg", ["Zarr zstd: zarr-python read"], "0.8"),
        ("npy fit / max(raw read, X'X)", "npy: streamreg", ["raw read", "X'X at that speed"], "2.2"),
        ("4 times the rows", "four times the rows: streamreg", ["npy: streamreg"], "4.3"),
        (
            "400 / 100 columns",
            "a quarter of the rows, 400 columns: streamreg",
            ["a quarter of the rows: streamreg"],
            "18",
        ),
        ("float32 / float64, same shape", "float32 npy: streamreg", ["npy: streamreg"], "0.5 (per byte)"),
    ]
    return [
        [label, f"{s[one] / max(s[o] for o in others):.2f}", limit and f"<= {limit}"]
        for label, one, others, limit in wanted
        if one in s and all(o in s for o in others)
    ]


def spread(times: list[float] | None) -> str:
    return "" if times is None else f"{min(times):.3f}-{max(times):.3f}"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", default="data/bench", help="where the files are made and kept")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names to run")
