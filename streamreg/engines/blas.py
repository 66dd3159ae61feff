"""How many threads BLAS takes."""

import sys
from contextlib import AbstractContextManager
from functools import cache
from typing import Any


@cache
def _controller(scipy: bool) -> Any:
    """Return a handle on the BLAS libraries loaded so far; SciPy, which is slow to import, brings one of its own."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """Return a context in which BLAS uses one thread.

    Notes
    -----
    Cost: 25 us. The libraries of the process are looked for once, and once more when SciPy has come, which takes 2 to
    10 ms: a pass over a small table takes less.
    """
    found: AbstractContextManager[Any] = _controller("scipy.linalg" in sys.modules).limit(limits=1, user_api="blas")
    return found
