"""Run tasks on the workers of a Dask cluster."""

import io
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from streamreg.engines.base import Engine, Item, Result
from streamreg.engines.serial import Serial
from streamreg.errors import DataError, MissingExtra, UsageError

_LOOPBACK = "127.0.0.1"
_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"
_TASKS = 4  # for each thread of the workers: fewer leave threads idle at the end, more cost scheduling
_MOST = 64  # items of a task, where it is not known how much is read for each
_LONG = 2**31  # bytes read for a task: they take seconds, which is what a lost worker costs
_PAUSE = 1.0  # seconds after which the workers are counted again: a question to the scheduler each time
_HEAVY = 2**23  # bytes of pickled items in a task: rows of this process's memory travel with them


@dataclass(frozen=True, slots=True)
class Dask(Engine):
    """The workers of a Dask cluster.

    The scheduler runs the task of a lost worker again on another one. At most two tasks a thread of the workers are
    under way or wait for their turn.

    Parameters
    ----------
    client : distributed.Client

    Raises
    ------
    UsageError
        The client is asynchronous or closed, or a worker has another version of Python, NumPy or this package.
    """

    client: Any

    def __post_init__(self) -> None:
        if not self._runs:
            raise UsageError("the distributed.Client is closed, or its scheduler is gone; make a new one")
        if self.client.asynchronous:
            raise UsageError("the distributed.Client is asynchronous; make one that is not: distributed.Client(...)")
        _require_alike(self.client)

    @property
    def _runs(self) -> bool:
        return bool(self.client.status == "running")

    @property
    def workers(self) -> int:
        """Threads of all workers together; at least one, as workers may still be on their way."""
        return max(sum(map(int, self.client.nthreads().values())), 1)

    @property
    def in_process(self) -> bool:
        """False."""
        return False

    def share(self, items: Sequence[Any], nbytes: int | None = None) -> int:
        """Return how many consecutive items make a task: about four tasks for each thread of the workers."""
        if not items:
            return 1
        fair = -(-len(items) // (_TASKS * self.workers))
        most = _MOST if not nbytes else max(1, _LONG * len(items) // nbytes)
        return 1 if fair == 1 else max(1, min(fair, most, _HEAVY // len(_packed(items[0])[0])))

    def check(self, function: Callable[[Item], object], item: Item, what: str) -> None:
        """Call ``function(item)`` on every worker; see `Engine.check`."""
        asked, held = _packed((function, item))
        if held or len(asked) > _HEAVY:  # rows that the cluster holds, or that travel with the task
            return
        from distributed.comm.core import CommClosedError

        found = self.client.run(_tried, asked, on_error="return")
        # A worker that is lost meanwhile gets no task.
        gone = (CommClosedError, TimeoutError)
        wrong = [
            (w, error) for w, error in found.items() if isinstance(error, Exception) and not isinstance(error, gone)
        ]
        if wrong:
            function(item)  # what is wrong here too is said as on any other engine
            worker, error = wrong[0]
            raise DataError(
                f"{what}: Dask worker {worker} cannot read it ({error}); put it where all workers find it under this "
                "name, such as a shared folder"
            )

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` for every item, in order.

        Raises
        ------
        DataError
            A task ended every worker that tried it, or the cluster was closed.
        """
        import dask
        from distributed import KilledWorker

        pending: deque[Any] = deque()
        work = _dumps(function)
        workers, counted = self.workers, time.monotonic()
        try:
            for item in items:
                # Tasks may carry rows of this process's memory, of which the library would warn.
                with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
                    # Not pure: a result that was asked for before is computed again, as the data may have changed.
                    pending.append(self.client.submit(_task, work, *_packed(item), pure=False))
                if time.monotonic() - counted > _PAUSE:
                    workers, counted = self.workers, time.monotonic()
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except KilledWorker as error:
            raise DataError(
                f"a task ended every Dask worker that tried it ({error.last_worker.address}); the workers' logs say "
                "why; often memory is short: give the workers more, or run fewer threads in each"
            ) from error
        except Exception as error:
            if self._runs and not isinstance(error, CancelledError):
                raise
            raise DataError("the Dask cluster was closed during the scan; start it, and run again") from error
        finally:
            if pending and self._runs:
                self.client.cancel(list(pending))


@contextmanager
def local(workers: int | None = None) -> Iterator[Dask]:
    """Start a cluster of worker processes on this machine, of one thread each, and stop it at the end.

    Parameters
    ----------
    workers : int, optional
        Default: one for each processor.

    Raises
    ------
    MissingExtra
        `distributed` is not installed.
    """
    library()
    import dask
    from distributed import Client, LocalCluster

    # The library has workers give memory back at once, and take it anew for each block: up to twice the time. It also
    # looks a hundred times a second at what they do.
    own = {k: v for k, v in dask.config.get(_ENVIRONMENT, {}).items() if not k.startswith("MALLOC_")}
    free = f"{_LOOPBACK}:0"  # a port that is free: the library's own number may be taken, and is open to the network
    with (
        dask.config.set({_ENVIRONMENT: own, "distributed.worker.profile.enabled": False}),
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=_LOOPBACK,
            dashboard_address=free,
            worker_dashboard_address=free,
            scheduler_kwargs={"dashboard": False},
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield Dask(client)


def library() -> Any:
    """Return the library `distributed`, or say how to install it."""
    try:
        import distributed
    except ImportError as error:
        raise MissingExtra("a Dask cluster needs the package distributed: pip install 'streamreg[dask]'") from error
    return distributed


def _require_alike(client: Any) -> None:
    """Make sure that the workers' sums have the bits of this process's, and that they can read what it sends."""
    found = client.get_versions(packages=["streamreg"])
    here = found["client"]["packages"]
    for worker, answer in found["workers"].items():
        there = answer["packages"]
        for name in ("python", "numpy", "streamreg"):
            # Other releases of the same Python read what this one sends.
            parts = 2 if name == "python" else None
            if there.get(name) and there[name].split(".")[:parts] == here[name].split(".")[:parts]:
                continue
            what = f"has {name} {there[name]}" if there.get(name) else f"lacks {name}"
            raise UsageError(
                f"Dask worker {worker} {what}, and this process has {here[name]}; install the same version there"
            )


def _dumps(value: Any) -> bytes:
    from distributed.protocol import pickle as library  # pickles also what only the main module of this process knows

    data: bytes = library.dumps(value)  # type: ignore[no-untyped-call]
    return data


def _packed(value: Any) -> tuple[bytes, dict[str, Any]]:
    """Return a pickled value, and the futures in it: data that the cluster holds, such as a persisted array's blocks.

    As arguments of a task they make the scheduler place it where the data are, which so do not pass through the client.
    """
    import cloudpickle
    from distributed import Future

    held: dict[str, Any] = {}

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # a library without types
        def persistent_id(self, thing: Any) -> str | None:
            if not isinstance(thing, Future):
                return None
            held[str(thing.key)] = thing
            return str(thing.key)

    buffer = io.BytesIO()
    Pickler(buffer).dump(value)
    return buffer.getvalue(), held


class _Unpickler(pickle.Unpickler):
    """Puts data in the place of the futures of `_packed`."""

    def __init__(self, data: bytes, held: dict[str, Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._held = held

    def persistent_load(self, key: str) -> Any:
        """Return the data of a future."""
        return self._held[key]


def _task(function: bytes, item: bytes, held: dict[str, Any]) -> Any:
    """Run one task with one BLAS thread, as on the other engines."""
    return next(Serial().map(_loads(function), [_Unpickler(item, held).load()]))


def _tried(asked: bytes) -> None:
    function, item = _loads(asked)
    function(item)


def _loads(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301 - a worker trusts its clients
