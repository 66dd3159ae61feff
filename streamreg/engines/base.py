"""What runs the tasks of a scan: threads of this process, this thread alone, or a Dask cluster."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(ABC):
    """Runs one function on many items and hands the results back in the order of the items.

    A task has no side effects: whatever the caller needs is in what it returns, so it may run in another process, or
    twice. Function, items and results can be pickled.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many tasks run at once."""

    @property
    def in_process(self) -> bool:
        """Whether tasks run in this process, so that they reach all that it holds."""
        return True

    @abstractmethod
    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` for every item, in order.

        A bounded number of results wait for their turn, so memory stays bounded. The first error in the order of the
        items is raised, and the items after it are abandoned; so they are when the iterator is closed.
        """

    def share(self, items: Sequence[Any], nbytes: int | None = None) -> int:
        """Return how many consecutive items make a task that is worth its scheduling; `nbytes` are read for all."""
        return 1

    def check(self, function: Callable[[Item], object], item: Item, what: str) -> None:  # noqa: B027  # all reach it here
        """Make sure that every worker can do ``function(item)``, which reads a little of `what`.

        Raises
        ------
        DataError
            One of them cannot; the message says which.
        """
