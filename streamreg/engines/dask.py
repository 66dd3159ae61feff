"""Run tasks on the workers of a Dask cluster."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from streamreg.engines.base import Item, Result
from streamreg.engines.serial import Serial
from streamreg.errors import DataError


@dataclass(frozen=True, slots=True)
class Dask:
    """The workers of a Dask cluster.

    The scheduler runs the task of a lost worker again on another one. At most two tasks a thread of the workers are
    under way or wait for their turn.

    Parameters
    ----------
    client : distributed.Client
    """

    client: Any

    @property
    def workers(self) -> int:
        """Threads of all workers together; at least one, as workers may still be on their way."""
        return max(sum(map(int, self.client.nthreads().values())), 1)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` for every item, in order.

        Raises
        ------
        DataError
            A task ended every worker that tried it.
        """
        from distributed import KilledWorker

        pending: deque[Any] = deque()
        try:
            for item in items:
                # Not pure: a result that was asked for before must be computed again, as the data may have changed.
                pending.append(self.client.submit(_task, function, item, pure=False))
                if len(pending) >= 2 * self.workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except KilledWorker as error:
            raise DataError(
                f"a task ended every Dask worker that tried it ({error.last_worker}); the workers' logs say why; often "
                "memory is short: give the workers more, or run fewer threads in each"
            ) from error
        finally:
            if pending:
                self.client.cancel(list(pending))


def _task(function: Callable[[Item], Result], item: Item) -> Result:
    """Run one task with one BLAS thread, as on the other engines."""
    return next(Serial().map(function, [item]))
