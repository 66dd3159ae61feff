"""Ratios of a whole fit to peers, to a raw read, and to the cross-product at the speed of the processor."""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import record

import streamreg as sr


def seconds(action: Callable[[], object], repeats: int) -> list[float]:
    """Return the wall times of `repeats` runs, after one to warm up."""
    action()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return times


def run(arguments: argparse.Namespace) -> None:
    path = Path(arguments.folder) / f"{arguments.rows}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        sr.generate(path, rows=arguments.rows, columns=100)
    table = np.load(path, mmap_mode="r")
    source = sr.open(path, target="y")

    def raw_read() -> None:
        buffer = bytearray(2**22)
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    def sklearnex() -> None:
        from sklearnex.linear_model import IncrementalLinearRegression

        IncrementalLinearRegression().fit(table[:, :-1], table[:, -1])

    def numpy_moments() -> None:
        block = np.asarray(table)
        _ = block.T @ block

    actions: dict[str, Callable[[], object]] = {
        "raw read (one thread)": raw_read,
        "numpy X'X of the mapped file": numpy_moments,
        "sklearnex IncrementalLinearRegression": sklearnex,
        "streamreg float64": lambda: sr.Linear(precision="float64").fit(source, progress=False),
        "streamreg auto": lambda: sr.Linear().fit(source, progress=False),
        "streamreg exact": lambda: sr.Linear(precision="exact").fit(source, progress=False),
    }
    chosen = {k: a for k, a in actions.items() if not arguments.only or any(o in k for o in arguments.only)}
    times = {label: seconds(action, arguments.repeats) for label, action in chosen.items()}
    middle = {label: statistics.median(t) for label, t in times.items()}
    base = middle.get("streamreg float64", next(iter(middle.values())))
    body = [
        [label, f"{middle[label]:.2f}", f"{min(t):.2f}-{max(t):.2f}", f"{middle[label] / base:.2f}"]
        for label, t in times.items()
    ]
    print(record.table([f"{arguments.rows:,} x 100 float64", "median s", "range", "to streamreg float64"], body))
    print(f"written to {record.keep('speed', times)}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", default="data/bench", help="where the files are made and kept")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names to run")
