"""A worker that is lost while workers are asked whether they can read the data gets no task, and is no error."""

from typing import Any

import pytest
from distributed.comm.core import CommClosedError

from streamreg.engines.dask import Dask
from streamreg.errors import DataError


class Asked:
    """A client whose workers answer these things."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def run(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        return self.answers


def engine(answers: dict[str, Any]) -> Dask:
    made = object.__new__(Dask)
    object.__setattr__(made, "client", Asked(answers))
    return made


def test_a_lost_worker_is_no_error() -> None:
    engine({"one": None, "two": CommClosedError("stream is closed")}).check(abs, -1, "rows.npy")


def test_a_worker_that_cannot_read_is() -> None:
    answers = {"one": CommClosedError("stream is closed"), "two": FileNotFoundError("rows.npy")}
    with pytest.raises(DataError, match=r"rows\.npy: Dask worker two cannot read it"):
        engine(answers).check(abs, -1, "rows.npy")
