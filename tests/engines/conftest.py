"""The engines that every statistic meets: threads, two processes, and a Dask cluster on this machine."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import pytest

from streamreg.engines.base import Engine
from streamreg.engines.dask import local
from streamreg.engines.serial import Serial
from streamreg.engines.threads import Threads


@pytest.fixture(scope="session", autouse=True)
def files():
    from cases import SMALL

    with SMALL:
        yield


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
    with local(2) as engine:
        yield engine


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


@pytest.fixture(scope="module")
def dask_engine() -> Iterator[Engine]:
    with dask() as engine:
        yield engine
