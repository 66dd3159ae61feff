"""What runs the tasks of a scan: threads of this process, this thread alone, or a Dask cluster."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs one function on many items and hands the results back in the order of the items.

    A task has no side effects: whatever the caller needs is in what it returns, so it may run in another process, or
    twice. Function, items and results can be pickled.
    """

    @property
    def workers(self) -> int:
        """How many tasks run at once."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` for every item, in order.

        A bounded number of results wait for their turn, so memory stays bounded. The first error in the order of the
        items is raised, and the items after it are abandoned; so they are when the iterator is closed.
        """
