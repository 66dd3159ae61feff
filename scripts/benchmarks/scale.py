"""Time and traffic of scans by rows, columns and workers: a model learned on small ones, against large ones."""

import argparse
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import record
from made import Made
from scipy.optimize import nnls

import streamreg as sr
from streamreg.engines.dask import Dask, local
from streamreg.stats.base import block_rows


class Size(NamedTuple):
    """What is scanned; `columns` with the target."""

    rows: int
    columns: int
    partitions: int

    def __str__(self) -> str:
        return f"{self.rows:,} x {self.columns} in {self.partitions:,}"

    @property
    def terms(self) -> list[float]:
        """What processor time grows with: nothing, partitions, blocks, numbers read, and products."""
        q = self.columns
        return [1.0, self.partitions, self.rows / block_rows(q), self.rows * q, self.rows * q * (q + 1) / 2]


TERMS = ("a scan", "a partition", "a block", "a number read", "a product")


class Cost(NamedTuple):
    """Seconds of wall and of processors, bytes sent and received by the client, and tasks."""

    wall: float
    processor: float
    sent: int
    received: int
    tasks: int


class Counting(Dask):
    """Notes what travels."""

    sent = received = tasks = 0

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        kept = list(items)
        Counting.sent = sum(len(pickle.dumps(item)) for item in kept)
        Counting.tasks, Counting.received = len(kept), 0
        for result in super().map(function, kept):
            Counting.received += len(pickle.dumps(result))
            yield result


def measured(engine: Dask, size: Size, times: int = 1) -> Cost:
    """Scan so many rows, and return the least cost of some tries."""
    source = Made(*size)
    found = []
    for _ in range(times):
        used, began = spent(engine), time.perf_counter()
        sr.scan(source, engine=engine)
        found.append((time.perf_counter() - began, spent(engine) - used))
    wall, processor = (min(column) for column in zip(*found, strict=True))
    return Cost(wall, processor, Counting.sent, Counting.received, Counting.tasks)


def spent(engine: Dask) -> float:
    """Return the processor seconds of this process and of all workers so far."""
    return time.process_time() + sum(engine.client.run(time.process_time).values())


def learned(costs: dict[Size, Cost]) -> np.ndarray:
    """Return seconds of a processor for each of the terms; relative errors count."""
    terms = np.array([size.terms for size in costs])
    seconds = np.array([cost.processor for cost in costs.values()])
    scale = terms.max(axis=0)
    found, _ = nnls(terms / scale / seconds[:, None], np.ones(len(seconds)))
    return np.asarray(found / scale)


def run(arguments: argparse.Namespace) -> None:
    small = [
        Size(rows, columns, partitions)
        for columns in (3, 11, 31, 101)
        for rows, partitions in ((2**26 // columns, 50), (2**28 // columns, 50), (2**26 // columns, 5000))
    ]
    large = [Size(int(rows), arguments.columns + 1, arguments.partitions) for rows in arguments.rows]
    with local(arguments.workers) as cluster:
        engine = Counting(cluster.client)
        costs = {}
        for size in small:
            costs[size] = measured(engine, size, arguments.rounds)
            print(f"{size}: {costs[size].processor:.2f} s of processors", flush=True)
        each = learned(costs)
        rest = {size: measured(engine, size) for size in large}
    body = [[f"{what}", f"{seconds * 1e9:,.2f} ns"] for what, seconds in zip(TERMS, each, strict=True)]
    print("\n" + record.table(["processor time of", "on this machine"], body) + "\n")
    figures = {"ns": dict(zip(TERMS, (each * 1e9).tolist(), strict=True)), "sizes": {}}
    body = []
    for size, cost in {**costs, **rest}.items():
        predicted = float(each @ size.terms)
        figures["sizes"][str(size)] = {"predicted": predicted, **cost._asdict()}
        if size in rest:
            times = (predicted, cost.processor, predicted / arguments.workers, cost.wall)
            moved = (str(cost.tasks), f"{cost.sent / 1e6:.2f}", f"{cost.received / 1e6:.2f}")
            body.append([str(size), *(f"{seconds:.1f}" for seconds in times), *moved])
    wrong = [each @ size.terms / cost.processor - 1 for size, cost in costs.items()]
    header = ["rows x columns in partitions", "processor s, predicted", "measured", "wall s, predicted", "measured"]
    header += ["tasks", "MB sent", "MB received"]
    print(record.table(header, body))
    print(f"\nthe model is within {100 * max(map(abs, wrong)):.0f} % of the scans that it was learned from")
    print(f"written to {record.keep('scale', figures)}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rows", type=float, nargs="+", default=[1e7, 1e8, 1e9], help="of the scans that are predicted"
    )
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--partitions", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
