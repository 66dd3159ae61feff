"""A binary tree over block numbers: sums that come out the same however the blocks were shared out."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Node = TypeVar("Node")


def unchanged(node: Node) -> Node:
    """Return a node that `merge` never writes to."""
    return node


class BlockTree(Generic[Node]):
    """Merge nodes of consecutive blocks pairwise, at places that the block numbers fix.

    Node (level, index) covers blocks ``index * 2**level`` up to ``(index + 1) * 2**level``. Errors grow with the
    logarithm of the number of blocks (pairwise summation, Higham 2002, *Accuracy and Stability of Numerical
    Algorithms*, section 4.2), and merging trees of neighbouring runs is associative to the last bit. Blocks without
    rows may be left out; at most two nodes a level are kept, whatever blocks there are.

    Parameters
    ----------
    merge : callable
        ``merge(left, right)``; it may reuse the left node, never the right one.
    copy : callable
        Returns a node that `merge` may reuse.
    """

    def __init__(self, merge: Callable[[Node, Node], Node], copy: Callable[[Node], Node]) -> None:
        self._merge, self._copy = merge, copy
        # None stands for a run of blocks without rows: what lies to the left of it can then be merged across.
        self._places: list[tuple[int, int, Node | None]] = []

    def __bool__(self) -> bool:
        return bool(self._places)

    @property
    def nodes(self) -> list[tuple[int, int, Node]]:
        """Level, index and value of every node, from left to right."""
        return [(level, index, node) for level, index, node in self._places if node is not None]

    def push(self, index: int, node: Node) -> None:
        """Add the block of that number; blocks come in order, and the tree owns them."""
        self._skip_to(index)
        self._push(0, index, node)

    def join(self, nodes: Iterable[tuple[int, int, Node]]) -> None:
        """Add the nodes of later blocks; from another scan, whose numbers start over, they are merged as a whole."""
        nodes = list(nodes)
        if not nodes:
            return
        if self._places and nodes[0][1] << nodes[0][0] < self._end():
            other = BlockTree(self._merge, self._copy)
            other._places = list(nodes)
            self._places = [(0, 0, self._merge(self.total(), other.total()))]
            return
        for level, index, node in nodes:
            self._skip_to(index << level)
            self._push(level, index, self._copy(node))

    def total(self) -> Node:
        """Return all nodes merged; the tree is not changed."""
        nodes = self.nodes
        total = self._copy(nodes[-1][2])
        for _, _, node in reversed(nodes[:-1]):
            total = self._merge(self._copy(node), total)
        return total

    def _end(self) -> int:
        level, index, _ = self._places[-1]
        return (index + 1) << level

    def _skip_to(self, block: int) -> None:
        """Note that the blocks between the last one and this one hold no rows."""
        while self._places and (at := self._end()) < block:
            # The largest aligned run of blocks that begins here and ends before `block`.
            level = min((at & -at).bit_length() - 1, (block - at).bit_length() - 1)
            self._push(level, at >> level, None)

    def _push(self, level: int, index: int, node: Node | None) -> None:
        while self._places and index % 2 and self._places[-1][:2] == (level, index - 1):
            left = self._places.pop()[2]
            node = node if left is None else left if node is None else self._merge(left, node)
            level, index = level + 1, index // 2
        self._places.append((level, index, node))
