"""Climbs that share passes: each says what it asks of the rows next, and one scan answers all that are under way.

A climb is a generator. It yields a list of `Ask`, is sent the filled statistics in the same order, and returns what it
found. So it neither knows who reads the rows nor what else is asked of them, and has the same bits alone or among
others.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from streamreg.design.design import Design
from streamreg.errors import StreamregError
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.stats.base import Statistic
from streamreg.stats.several import ALL, Several, Share

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """What a climb asks of the rows.

    Attributes
    ----------
    statistic : Statistic
        An empty one.
    title : str
        What a bar says, if the pass is for it alone.
    share : Share
        Which rows it sees.
    """

    statistic: Statistic
    title: str
    share: Share = ALL


Climbing = Generator[list[Ask], list[Any], T]
"""What asks of the rows, is sent what they answer, and returns a T."""


def drive(climbing: Climbing[T], source: Source, design: Design, run: Run, most: int | None = None) -> tuple[T, int]:
    """Read the rows until a climb ends; return what it found, and how many passes that took.

    Parameters
    ----------
    climbing : generator
    source : Source
    design : Design
    run : Run
    most : int, optional
        How many statistics one pass may keep; of more, there is another pass.
    """
    passes = 0
    try:
        asked = next(climbing)
        while True:
            found: list[Any] = []
            step = most or len(asked)
            for first in range(0, len(asked), step):
                found += _pass(asked[first : first + step], source, design, run)
                passes += 1
            asked = climbing.send(found)
    except StopIteration as end:
        return end.value, passes


def _pass(asked: Sequence[Ask], source: Source, design: Design, run: Run) -> list[Any]:
    if len(asked) == 1 and asked[0].share == ALL:
        return [run.scan(source, design, asked[0].statistic, asked[0].title)]
    both = Several([ask.statistic for ask in asked], [ask.share for ask in asked])
    titles = {ask.title for ask in asked}
    found = run.scan(source, design, both, titles.pop() if len(titles) == 1 else f"{len(asked)} fits on")
    for part in found.parts:
        part.record = found.record
    return found.parts


def joined(climbs: Sequence[Climbing[T]]) -> Climbing[list[T]]:
    """Climb all at once: each pass is for all that are still under way. Returns what each found."""
    found: dict[int, T] = {}
    asked: dict[int, list[Ask]] = {}

    def on(k: int, answers: list[Any] | None) -> None:
        try:
            asked[k] = next(climbs[k]) if answers is None else climbs[k].send(answers)
        except StopIteration as end:
            found[k] = end.value

    for k in range(len(climbs)):
        on(k, None)
    while asked:
        under_way, asked = asked, {}
        answers = yield [ask for asks in under_way.values() for ask in asks]
        at = 0
        for k, asks in under_way.items():
            on(k, answers[at : at + len(asks)])
            at += len(asks)
    return [found[k] for k in range(len(climbs))]


def seen(climbing: Climbing[T], share: Share) -> Climbing[T]:
    """Let a climb see a share of the rows."""
    try:
        asked = next(climbing)
        while True:
            asked = climbing.send((yield [replace(ask, share=share) for ask in asked]))
    except StopIteration as end:
        value: T = end.value
        return value


def tolerant(climbing: Climbing[T]) -> Climbing[T | None]:
    """Return nothing in place of an error that a climb raises."""
    try:
        return (yield from climbing)
    except StreamregError:
        return None
