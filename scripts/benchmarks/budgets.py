"""Peak memory of jobs that are given a bound: every format, folds, levels of a column, clusters."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import record
from memory import peak, streamreg

FORMATS = ["table.npy", "table.h5", "gzip.h5", "table.zarr", "table.parquet", "table.feather", "table.csv"]
GROUPED = "groups.npy"

# Each runs in a process of its own: the peak of a child is never below that of the process that starts it.
MAKE_GROUPED = """
import sys
import numpy as np
rows, rng = int(sys.argv[1]), np.random.default_rng(0)
table = rng.normal(size=(rows, 12))
table[:, 10] = rng.integers(0, rows // 10, rows)
table[:, 11] = rng.permutation(rows)
np.save(sys.argv[2], table)
"""


def jobs(rows: int) -> dict[str, str]:
    """Return the jobs, by their labels."""
    table = "data: {{path: {}, target: y}}\nfits: {{fit: {}}}\n"
    found = {f"exact, {name}": table.format(name, "{kind: linear, precision: exact}") for name in FORMATS}
    found["10 folds"] = table.format("table.npy", "{kind: penalised, rule: cv, folds: 10}")
    grouped = f"data: {{{{path: {GROUPED}, target: x9, features: [x0, x1, x2, x3]}}}}\nfits: {{{{fit: {{}}}}}}\n"
    found[f"by {rows // 10:,} levels"] = grouped.format("{kind: linear, by: x10}")
    found[f"{rows:,} clusters"] = grouped.format("{kind: linear, errors: {cluster: x11}}")
    return found


def make(rows: int) -> None:
    """Make the files that are not there."""
    if not Path("table.npy").exists():
        subprocess.run(
            streamreg("generate", "table.npy", "--rows", str(rows), "--columns", "100"),
            check=True,
            stdout=subprocess.DEVNULL,
        )
    for name in FORMATS[1:]:
        if not Path(name).exists():
            packed = ["--compression", "gzip"] if name == "gzip.h5" else []
            command = streamreg("convert", "table.npy", name, *packed)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    if not Path(GROUPED).exists():
        subprocess.run([sys.executable, "-c", MAKE_GROUPED, str(rows), GROUPED], check=True)


def run(arguments: argparse.Namespace) -> None:
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    make(arguments.rows)
    body, figures = [], {}
    for label, text in jobs(arguments.rows).items():
        found = {}
        for bound in arguments.bounds:
            Path("job.yaml").write_text(f"{text}memory: {bound}\noutput: {{folder: out}}\n")
            subprocess.run(["rm", "-rf", "out"], check=True)
            try:
                found[bound] = f"{peak(streamreg('run', 'job.yaml')):.0f}"
            except SystemExit:
                found[bound] = "refused"
        body.append([label, *found.values()])
        figures[label] = found
        print(" ".join(body[-1]), flush=True)
    print("\n" + record.table(["peak MB of a job", *(f"of {bound}" for bound in arguments.bounds)], body))
    print(f"written to {record.keep('budgets', figures)}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--bounds", nargs="+", default=["300MB", "1GB"])
    parser.add_argument("--folder", default="data/bench-budgets", help="where the files are made and kept")
