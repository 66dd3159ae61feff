"""Run partitions on several threads of this process, and hand results back in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from streamreg.errors import UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_threads() -> int:
    """Return the number of processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in order, computed on `threads` threads.

    Each worker has one BLAS thread: workers do not wait for each other, and sums do not depend on how many there are.
    At most two results a thread wait for their turn, so memory stays bounded. The first error in item order is raised,
    and the items after it are abandoned.
    """
    if threads is not None and threads < 0:
        raise UsageError(f"threads is {threads}; it can be 1 or more, or None for all processors")
    threads = threads or available_threads()
    with threadpool_limits(1, user_api="blas"):
        if threads == 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="streamreg") as pool:
            pending: deque[Future[Result]] = deque()
            try:
                for item in items:
                    pending.append(pool.submit(function, item))
                    if len(pending) >= 2 * threads:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()
