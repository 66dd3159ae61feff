"""Run tasks one after another on the calling thread."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from streamreg.engines.base import Engine, Item, Result
from streamreg.engines.blas import one_blas_thread


@dataclass(frozen=True, slots=True)
class Serial(Engine):
    """The calling thread."""

    @property
    def workers(self) -> int:
        """One."""
        return 1

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` for every item, in order."""
        with one_blas_thread():
            yield from map(function, items)
