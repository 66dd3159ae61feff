"""One BLAS thread for small matrices: more of them wait for each other longer than they compute."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from streamreg.engines.blas import one_blas_thread

T = TypeVar("T")

_SMALL = 2000


def one_thread(columns: int = 0) -> AbstractContextManager[Any]:
    """Return a context in which BLAS uses one thread, if matrices of that many columns are small.

    Seen on two busy cores: a triangular solve of 20 columns takes 5 us on one thread and 8 ms on two; a lasso path of
    1000 columns 1.5 s and 60 s.

    Notes
    -----
    Cost: 25 us, and 10 ms once.
    """
    if columns > _SMALL:
        return nullcontext()
    return one_blas_thread()


def shared(task: Callable[[T], None], parts: Iterable[T]) -> None:
    """Run a task on each part, on all cores. Parts are what the task says, so bits do not depend on the cores.

    To be called where BLAS has one thread.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(cores, "streamreg-algebra") as pool:
        for _ in pool.map(task, parts):
            pass
