"""What a compiled step is taken on: one batch, or many of a table that lies where it is computed with."""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

Tensors: TypeAlias = tuple[Any, Any, Any]
"""Features (m, p), target (m,) and weights (m,)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, by itself."""

    tensors: Tensors
    batches: ClassVar[int] = 1

    def __len__(self) -> int:
        return len(self.tensors[0])


@dataclass(frozen=True, slots=True)
class Stretch:
    """Shuffled batches one after the other, of a table that lies where it is computed with.

    Attributes
    ----------
    table : tuple of tensors
        Features (n, p), target (n,) and weights (n,).
    order : tensor of int64, shape (n,)
        Which row comes when.
    start, stop : int
        The first position in that order, and that after the last.
    size : int
        Rows of a batch; the last one holds what is left.
    """

    table: Tensors
    order: Any
    start: int
    stop: int
    size: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def batches(self) -> int:
        """How many there are."""
        return -(-len(self) // self.size)


Part: TypeAlias = Batch | Stretch
