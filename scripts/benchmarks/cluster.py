"""Two Dask workers beside two threads: time, processor time, the client's memory, and the bits."""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import record
from made import Made

import streamreg as sr
from streamreg.engines.dask import Dask, local
from streamreg.sources.base import Source
from streamreg.sources.synthetic import Recipe

Numbers = list[bytes]


class Case(NamedTuple):
    """What is done with which rows, and how much longer it may take on the workers than on the threads."""

    label: str
    source: Callable[[Path], Source]
    work: Callable[[Source, Any], Numbers]
    wanted: float


def fitted(source: Source, engine: Any) -> Numbers:
    fit = sr.Linear(precision="float64").fit(source, engine=engine)
    return [fit.coef.tobytes(), fit.std_errors.tobytes()]


def in_folds(source: Source, engine: Any) -> Numbers:
    return [array.tobytes() for array in sr.scan(source, folds=10, engine=engine).compact().to_arrays().values()]


def exact(source: Source, engine: Any) -> Numbers:
    return [sr.Linear(precision="exact").fit(source, engine=engine).coef.tobytes()]


def stored(suffix: str, columns: int = 100, rows: int = 1_000_000, **options: Any) -> Callable[[Path], Source]:
    def opened(folder: Path) -> Source:
        path = folder / f"{rows}x{columns}.{suffix}"
        if suffix == "parquet" and not path.exists():
            _write_parquet(path, Recipe(rows=rows, columns=columns))
        elif not path.exists():
            sr.generate(path, rows=rows, columns=columns, **options)
        return sr.open(path, target="y")

    return opened


def _write_parquet(path: Path, recipe: Recipe) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*recipe.names, "y"]
    schema = pa.schema([(name, pa.float64()) for name in names])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        waiting: list[Any] = []
        for number in recipe.blocks():
            x, y = recipe.block(number)
            waiting.append(pa.table([*x.T, y], schema=schema))
            if len(waiting) == 32 or number == recipe.blocks()[-1]:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []


def pieces(count: int) -> Callable[[Path], Source]:
    """Return rows made on the fly, in so many partitions of a block each."""
    return lambda _: Made(count * 4096, 11, count)


def cases(arguments: argparse.Namespace) -> list[Case]:
    rows = arguments.rows
    found = [
        Case("npy", stored("npy", rows=rows), fitted, 1.2),
        Case("HDF5", stored("h5", rows=rows), fitted, 1.2),
        Case("Zarr", stored("zarr", rows=rows), fitted, 1.2),
        Case("Parquet", stored("parquet", rows=rows), fitted, 1.2),
        Case("npy, exact", stored("npy", rows=rows), exact, 1.2),
        Case("npy, 10 folds", stored("npy", rows=rows), in_folds, 1.3),
        Case("npy, 600 columns", stored("npy", 600, rows // 4), fitted, 1.5),
        Case(f"{arguments.partitions:,} partitions", pieces(arguments.partitions), fitted, 1.6),
    ]
    return [case for case in found if not arguments.only or case.label in arguments.only]


def spent(engine: Dask) -> float:
    """Return the processor seconds of this process and of all workers so far."""
    return time.process_time() + sum(engine.client.run(time.process_time).values())


def run(arguments: argparse.Namespace) -> None:
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures, body = {}, []
    with local(2) as engine:
        for case in cases(arguments):
            source = case.source(folder)
            times: dict[str, list[tuple[float, float]]] = {"threads": [], "workers": []}
            found: dict[str, Numbers] = {}
            for number in range(arguments.rounds + 1):  # the first is for caches alone
                for how in times:
                    wall, used = time.perf_counter(), spent(engine)
                    found[how] = case.work(source, engine.client if how == "workers" else None)
                    if number:
                        times[how].append((time.perf_counter() - wall, spent(engine) - used))
            ratios = [
                statistics.median(b[k] / a[k] for a, b in zip(times["threads"], times["workers"], strict=True))
                for k in (0, 1)
            ]
            seconds = statistics.median(wall for wall, _ in times["threads"])
            same = found["threads"] == found["workers"]
            figures[case.label] = {"wall": ratios[0], "processor": ratios[1], "seconds": seconds, "same bits": same}
            body.append([case.label, f"{ratios[0]:.2f}", f"{ratios[1]:.2f}", f"<= {case.wanted}",
                         f"{seconds:.2f}", "yes" if same else "NO"])  # fmt: skip
            print(" ".join(body[-1]), flush=True)
        address = engine.client.scheduler.address
        memory: dict[int, float] = {}
        if not arguments.only:
            for rows in (arguments.rows // 4, arguments.rows):
                memory[rows] = client_memory(address, stored("npy", rows=rows)(folder))
    header = ["two workers / two threads", "time", "processor time", "wanted", "seconds on threads", "same bits"]
    print(f"\n{record.table(header, body)}\n")
    for rows, megabytes in memory.items():
        print(f"peak memory of the client, {rows:,} x 100 npy: {megabytes:.0f} MB (wanted <= 150)")
    print(f"written to {record.keep('cluster', {'ratios': figures, 'client MB': memory})}")


CLIENT = """
import resource, sys
import streamreg as sr
sr.Linear().fit(sr.open(sys.argv[2], target="y"), engine=sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
"""


def client_memory(address: str, source: Source) -> float:
    """Return the peak memory, in MB, of a process that fits on a cluster."""
    command = [sys.executable, "-c", CLIENT, address, source.label]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[], help="labels of the rows of the table")
    parser.add_argument("--folder", default="data/bench", help="where the files are made and kept")
