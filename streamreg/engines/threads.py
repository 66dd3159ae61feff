"""Run tasks on several threads of this process."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from streamreg.engines.base import Engine, Item, Result
from streamreg.engines.blas import one_blas_thread
from streamreg.engines.serial import Serial
from streamreg.errors import UsageError


def available_threads() -> int:
    """Return the number of processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Threads(Engine):
    """Threads of this process.

    Each has one BLAS thread: workers do not wait for each other, and sums do not depend on how many there are. At most
    two results a thread wait for their turn.

    Parameters
    ----------
    count : int, optional
        Default: the processors of this process.

    Raises
    ------
    UsageError
        `count` is negative.
    """

    count: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 0:
            raise UsageError(f"threads is {self.count}; it can be 1 or more, or None for all processors")

    @property
    def workers(self) -> int:
        """How many threads there are."""
        return self.count or available_threads()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` for every item, in order."""
        if self.workers == 1:
            yield from Serial().map(function, items)
            return
        with (
            one_blas_thread(),
            ThreadPoolExecutor(self.workers, thread_name_prefix="streamreg") as pool,
        ):
            pending: deque[Future[Result]] = deque()
            try:
                for item in items:
                    pending.append(pool.submit(function, item))
                    if len(pending) >= 2 * self.workers:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()
