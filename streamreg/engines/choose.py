"""The engine that a caller asks for."""

from typing import Any, cast

from streamreg.engines.base import Engine
from streamreg.engines.threads import Threads
from streamreg.errors import MissingExtra, UsageError


def choose(engine: Any = None, threads: int | None = None) -> Engine:
    """Return the engine that an option names.

    Parameters
    ----------
    engine : None, "threads", "serial", "dask", distributed.Client, address of a scheduler, or Engine
        "dask": the client that is in use (``with Client():``). An address begins with ``tcp://``, ``tls://`` or
        ``ucx://``. Default: threads.
    threads : int, optional
        How many threads; for threads of this process only.

    Raises
    ------
    MissingExtra
        `distributed` is not installed.
    UsageError
        No such engine, no client in use, or no scheduler at the address.
    """
    if engine is None or (isinstance(engine, str) and engine == "threads"):
        return Threads(threads)
    if threads is not None:
        raise UsageError("threads are those of this process; leave out threads, or engine")
    if isinstance(engine, str) and engine == "serial":
        from streamreg.engines.serial import Serial

        return Serial()
    if isinstance(engine, str):
        return _dask(engine)
    if type(engine).__module__.split(".")[0] == "distributed":
        from streamreg.engines.dask import Dask

        return Dask(engine)
    if callable(getattr(engine, "map", None)) and hasattr(engine, "workers"):
        return cast(Engine, engine)
    raise UsageError(
        f"engine is a {type(engine).__name__}; it can be 'threads', 'serial', 'dask', a distributed.Client, or the "
        "address of a scheduler, 'tcp://host:8786'"
    )


def _dask(name: str) -> Engine:
    try:
        import distributed
    except ImportError as error:
        raise MissingExtra("a Dask cluster needs the package distributed: pip install 'streamreg[dask]'") from error
    from streamreg.engines.dask import Dask

    if name == "dask":
        try:
            return Dask(distributed.get_client())
        except ValueError as error:
            raise UsageError("engine='dask' takes the client that is in use, and there is none: make one first, "
                             "client = distributed.Client()") from error  # fmt: skip
    if not name.startswith(("tcp://", "tls://", "ucx://")):
        raise UsageError(f"no engine {name!r}; there is 'threads', 'serial', 'dask', and 'tcp://host:8786'")
    try:
        return Dask(distributed.Client(name, timeout="10s"))  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: no Dask scheduler answers there ({error}); start one: dask scheduler") from error
