"""A whole fit from CSV against what others take to read the file alone: seconds, processor seconds, peak memory."""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import record

COLUMNS = [*(f"x{k}" for k in range(20)), "y"]

ACTIONS = {
    "streamreg, whole fit": (
        "import streamreg as sr, streamreg.models.linear, streamreg.sources.csv.open",
        "sr.Linear().fit(sr.open(path, target='y'))",
    ),
    "pyarrow.csv.read_csv": ("import pyarrow.csv as pc", "pc.read_csv(path)"),
    "polars scan_csv, batches": (
        "import polars as pl",
        "sum(len(b) for b in pl.scan_csv(path).collect_batches(chunk_size=65536))",
    ),
}
"""What is imported before the clock runs, and what is timed."""

FIT = next(iter(ACTIONS))


def written(path: Path, rows: int) -> Path:
    """Write a table of normal numbers, once, a million rows at a time."""
    if path.exists():
        return path
    import pyarrow as pa
    import pyarrow.csv as pc

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, rows, 10**6):
            values = np.random.default_rng(start).normal(size=(len(COLUMNS), min(10**6, rows - start)))
            table = pa.table(dict(zip(COLUMNS, values, strict=True)))
            pc.write_csv(table, file, pc.WriteOptions(include_header=start == 0))
    return path


def once(label: str, path: Path) -> tuple[float, float, float]:
    """Run an action in a fresh process and return its seconds, its processor seconds, and the process's peak MB."""
    imports, action = ACTIONS[label]
    code = (
        f"import time\n{imports}\npath = {str(path)!r}\n"
        f"wall, cpu = time.perf_counter(), time.process_time()\n{action}\n"
        "print(time.perf_counter() - wall, time.process_time() - cpu)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{label}: ended with {process.returncode}")
    wall, cpu = map(float, output.split())
    return wall, cpu, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def run(arguments: argparse.Namespace) -> None:
    figures: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
    body = []
    for rows in arguments.rows:
        path = written(Path(arguments.folder) / f"{rows}.csv", rows)
        times: dict[str, list[tuple[float, float, float]]] = {label: [] for label in ACTIONS}
        for _ in range(arguments.rounds):
            for label, found in times.items():
                found.append(once(label, path))
                print(f"{rows:,} rows, {label}: {found[-1][0]:.2f} s", flush=True)
        for label, found in times.items():
            ratios = [fit[0] / other[0] for fit, other in zip(times[FIT], found, strict=True)]
            middle = [statistics.median(part) for part in zip(*found, strict=True)]
            body.append(
                [
                    f"{rows:,} rows, {label}",
                    *(f"{m:.2f}" for m in middle[:2]),
                    f"{middle[2]:.0f}",
                    f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
                ]
            )
        figures[str(rows)] = times
    header = ["CSV of 21 columns", "s", "processor s", "peak MB", "whole fit / this"]
    print(f"\n{record.table(header, body)}")
    print(f"written to {record.keep('tables', figures)}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default="data/bench", help="where the files are made and kept")
