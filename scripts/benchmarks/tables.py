"""Fits from tables against what others take to read them, or to fit: seconds, processor seconds, peak memory."""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import textwrap
from multiprocessing import get_context
from pathlib import Path

import record
from table_cases import CASES, Action, Case


def written(case: Case, path: Path, rows: int) -> Path:
    """Write a table, once."""
    if not path.exists():
        print(f"writing {path} (once)", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.stem}.part{path.suffix}")
        writer = get_context("spawn").Process(target=case.write, args=(unfinished, rows))
        writer.start()  # apart: the peak of a process counts from that of the one that started it
        writer.join()
        if writer.exitcode:
            raise SystemExit(f"{unfinished} was not written")
        unfinished.rename(path)
    return path


def once(action: Action, path: Path) -> tuple[float, float, float]:
    """Run an action in a fresh process and return its seconds, its processor seconds, and the process's peak MB."""
    lines = ["import time", action.imports]
    if action.warm:
        few = path.with_name(f"{path.stem}.few{path.suffix}")
        rows = f"next(pq.ParquetFile({str(path)!r}).iter_batches(20000))"
        lines += ["import pyarrow as pa, pyarrow.parquet as pq"]
        lines += [f"pq.write_table(pa.Table.from_batches([{rows}]), path := {str(few)!r})", action.code]
    lines += [f"path = {str(path)!r}", "wall, cpu = time.perf_counter(), time.process_time()", action.code]
    lines += ["print('took', time.perf_counter() - wall, time.process_time() - cpu)"]
    process = subprocess.Popen([sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"ended with {process.returncode}:\n{action.code}")
    wall, cpu = map(float, output.split("took")[-1].split())
    return wall, cpu, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def measured(
    name: str, rows: int, path: Path, rounds: int
) -> tuple[dict[str, list[tuple[float, ...]]], list[list[str]]]:
    """Run all that is timed on a table, round by round; return the figures, and lines of a table."""
    actions = {
        label: action
        for label, action in CASES[name].actions.items()
        if not action.needs or importlib.util.find_spec(action.needs)
    }
    for label, action in actions.items():
        print(f"{name}, {label}:\n{textwrap.indent(action.code, '    ')}")
    times: dict[str, list[tuple[float, ...]]] = {label: [] for label in actions}
    for _ in range(rounds):
        for label, found in times.items():
            found.append(once(actions[label], path))
            print(f"{name}, {rows:,} rows, {label}: {found[-1][0]:.2f} s", flush=True)
    ours, body = next(iter(times.values())), []
    for label, found in times.items():
        middle = [statistics.median(part) for part in zip(*found, strict=True)]
        ratios = [[fit[k] / other[k] for fit, other in zip(ours, found, strict=True)] for k in (0, 1)]
        body.append(
            [
                f"{name}, {rows:,} rows: {label}",
                *(f"{m:.2f}" for m in middle[:2]),
                f"{middle[2]:.0f}",
                *(f"{statistics.median(some):.2f} ({min(some):.2f}-{max(some):.2f})" for some in ratios),
            ]
        )
    return times, body


def run(arguments: argparse.Namespace) -> None:
    figures: dict[str, dict[str, list[tuple[float, ...]]]] = {}
    body: list[list[str]] = []
    for name in arguments.only or CASES:
        for rows in arguments.rows or [CASES[name].rows]:
            made = f"{CASES[name].write.__name__.strip('_')}-{rows}{CASES[name].suffix}"
            path = written(CASES[name], Path(arguments.folder) / made, rows)
            figures[f"{name} {rows}"], lines = measured(name, rows, path, arguments.rounds)
            body += lines
    header = ["what", "s", "processor s", "peak MB", "whole fit / this, s", "processor s"]
    print(f"\n{record.table(header, body)}")
    print(f"{record.processor()}, {os.cpu_count()} processors; medians, and the range of the rounds")
    print(f"written to {record.keep('tables', figures)}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="+", choices=[*CASES], help="some of the tables")
    parser.add_argument("--rows", type=int, nargs="+", help="other numbers of rows than usual")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default="data/bench", help="where the files are made and kept")
