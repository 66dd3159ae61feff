"""A fit of a file that the system's cache does not hold, beside dd of the same file: time, and peak memory."""

import argparse
import os
import statistics
import subprocess
import time
from pathlib import Path

import record
from memory import peak, streamreg


def forget(path: Path) -> None:
    """Have the system drop the file from its cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(arguments: argparse.Namespace) -> None:
    path = Path(arguments.folder) / f"{arguments.rows}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        make = streamreg("generate", str(path), "--rows", str(arguments.rows), "--columns", "99")
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    pairs, most = [], 0.0
    for _ in range(arguments.pairs):
        forget(path)
        began = time.perf_counter()
        subprocess.run(["dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none"], check=True)
        raw = time.perf_counter() - began
        forget(path)
        began = time.perf_counter()
        most = max(most, peak(streamreg("fit", str(path), "--target", "y", "--precision", "float64")))
        pairs.append((raw, time.perf_counter() - began))
        print(f"dd {pairs[-1][0]:.1f} s, fit {pairs[-1][1]:.1f} s", flush=True)
    ratio = statistics.median(fit / raw for raw, fit in pairs)
    size = path.stat().st_size / 1e9
    print(f"\n{size:.1f} GB cold: fit / dd {ratio:.2f} (wanted <= 1.15), peak memory {most:.0f} MB (wanted <= 100)")
    print(f"written to {record.keep('cold', {'GB': size, 'ratio': ratio, 'pairs': pairs, 'peak MB': most})}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=40_000_000, help="of 100 columns: 32 GB")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--folder", default="data/bench-cold", help="where the file is made and kept")
