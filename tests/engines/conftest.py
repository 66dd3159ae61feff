"""The engines that every statistic meets: threads, two processes, and a Dask cluster on this machine."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import pytest

from streamreg.engines.base import Engine
from streamreg.engines.choose import choose
from streamreg.engines.serial import Serial
from streamreg.engines.threads import Threads


class Processes(Engine):
    """Two processes: what a task leaves behind in its own process is lost."""

    workers = 2
    in_process = False

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        yield from self._pool.map(function, items)


@contextmanager
def processes() -> Iterator[Engine]:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        yield Processes(pool)


@contextmanager
def dask() -> Iterator[Engine]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield choose(client)


@contextmanager
def here(engine: Engine) -> Iterator[Engine]:
    yield engine


ENGINES = {
    "serial": lambda: here(Serial()),
    "one thread": lambda: here(Threads(1)),
    "four threads": lambda: here(Threads(4)),
    "processes": processes,
    "dask": dask,
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with ENGINES[request.param]() as engine:
        yield engine
