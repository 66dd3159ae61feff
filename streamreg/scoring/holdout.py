"""Hold out rows: one source as two, of which any model can be fitted to the one and scored on the other."""

from numbers import Integral, Real
from typing import Any

from streamreg import sources
from streamreg.errors import UsageError
from streamreg.kernels.rowhash import Sample
from streamreg.sources.base import Source


def split(data: Any, held_out: float = 0.2, seed: int = 0) -> tuple[Source, Source]:
    """Return a source of rows to train on and one of rows to test on.

    Parameters
    ----------
    data : Source, or anything that `streamreg.open` takes
        A part of a split can be split again.
    held_out : float
        Share of the rows to test on. They are chosen by a hash of the row number, so they are the same ones whatever
        the storage, and no list of them is kept.
    seed : int
        Another seed holds out other rows.

    Notes
    -----
    Cost: nothing is read. A pass over either part reads all rows.
    """
    if not isinstance(seed, Integral):
        raise UsageError(f"seed is {seed!r}; it is a whole number")
    if not (isinstance(held_out, Real) and 0.0 < held_out < 1.0):
        raise UsageError(f"held_out is {held_out!r}; it is a share of the rows, between 0 and 1")
    source = sources.open(data)
    parts = [Sample(held_out, seed, held, source.roles.sample) for held in (False, True)]
    share = f"{held_out:.3g} of the rows"
    train, test = (
        source.part(part, f"{source.label} ({share} {'held out' if part.held_out else 'left out'})") for part in parts
    )
    return train, test
