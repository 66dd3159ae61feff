"""Run tasks one after another on the calling thread."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from threadpoolctl import threadpool_limits

from streamreg.engines.base import Engine, Item, Result


@dataclass(frozen=True, slots=True)
class Serial(Engine):
    """The calling thread."""

    @property
    def workers(self) -> int:
        """One."""
        return 1

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` for every item, in order."""
        with threadpool_limits(1, user_api="blas"):
            yield from map(function, items)
