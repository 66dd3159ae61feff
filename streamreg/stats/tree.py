"""A binary tree over block numbers: sums that come out the same however the blocks were shared out."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Node = TypeVar("Node")


class BlockTree(Generic[Node]):
    """Merge nodes of consecutive blocks pairwise, at places that the block numbers fix.

    Node (level, index) covers blocks ``index * 2**level`` up to ``(index + 1) * 2**level``. Errors grow with the
    logarithm of the number of blocks (pairwise summation, Higham 2002, *Accuracy and Stability of Numerical
    Algorithms*, section 4.2), and merging trees of neighbouring runs is associative to the last bit.

    Parameters
    ----------
    merge : callable
        ``merge(left, right)``; it may reuse the left node, never the right one.
    copy : callable
        Returns a node that `merge` may reuse.
    """

    def __init__(self, merge: Callable[[Node, Node], Node], copy: Callable[[Node], Node]) -> None:
        self._merge, self._copy = merge, copy
        self.nodes: list[tuple[int, int, Node]] = []

    def __bool__(self) -> bool:
        return bool(self.nodes)

    def push(self, index: int, node: Node) -> None:
        """Add the block of that number; blocks come in order, and the tree owns them."""
        self._push(0, index, node)

    def _push(self, level: int, index: int, node: Node) -> None:
        while self.nodes and index % 2 and self.nodes[-1][:2] == (level, index - 1):
            node = self._merge(self.nodes.pop()[2], node)
            level, index = level + 1, index // 2
        self.nodes.append((level, index, node))

    def join(self, nodes: Iterable[tuple[int, int, Node]]) -> None:
        """Add the nodes of later blocks; from another scan, whose numbers start over, they are merged as a whole."""
        nodes = list(nodes)
        if not nodes:
            return
        if self.nodes and nodes[0][1] << nodes[0][0] < (self.nodes[-1][1] + 1) << self.nodes[-1][0]:
            other = BlockTree(self._merge, self._copy)
            other.nodes = nodes
            self.nodes = [(0, 0, self._merge(self.total(), other.total()))]
            return
        for level, index, node in nodes:
            self._push(level, index, self._copy(node))

    def total(self) -> Node:
        """Return all nodes merged; the tree is not changed."""
        total = self._copy(self.nodes[-1][2])
        for _, _, node in reversed(self.nodes[:-1]):
            total = self._merge(self._copy(node), total)
        return total
