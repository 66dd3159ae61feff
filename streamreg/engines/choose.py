"""The engine that a caller asks for."""

from typing import Any

from streamreg.engines.base import Engine
from streamreg.engines.threads import Threads
from streamreg.errors import UsageError

ADDRESSES = ("tcp://", "tls://", "ucx://")
"""How addresses of schedulers begin."""

_PATIENCE = "10s"  # for a scheduler to answer


def choose(engine: Any = None, threads: int | None = None) -> Engine:
    """Return the engine that an option names.

    Parameters
    ----------
    engine : None, "threads", "serial", "dask", distributed.Client, address of a scheduler, or Engine
        "dask": the client that is in use (``with Client():``). An address begins with ``tcp://``, ``tls://`` or
        ``ucx://``; the name of a scheduler's file ends in ``.json``. Default: threads.
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
        return _dask(known(engine))
    if type(engine).__module__.split(".")[0] == "distributed":
        from streamreg.engines.dask import Dask

        return Dask(engine)
    if isinstance(engine, Engine):
        return engine
    raise UsageError(
        f"engine is a {type(engine).__name__}; it can be 'threads', 'serial', 'dask', a distributed.Client, or the "
        "address of a scheduler, 'tcp://host:8786'"
    )


def known(name: str) -> str:
    """Return the name of an engine, if it is one: threads, serial, dask, an address or the file of a scheduler.

    Raises
    ------
    UsageError
        It is none.
    """
    if name not in ("threads", "serial", "dask") and not name.startswith(ADDRESSES) and not name.endswith(".json"):
        raise UsageError(f"no engine {name!r}; there is 'threads', 'serial', 'dask', and 'tcp://host:8786'")
    return name


def _dask(name: str) -> Engine:
    from streamreg.engines.dask import Dask, library

    distributed = library()
    if name == "dask":
        try:
            return Dask(distributed.get_client())
        except ValueError as error:
            raise UsageError("engine='dask' takes the client that is in use, and there is none: make one first, "
                             "client = distributed.Client()") from error  # fmt: skip
    try:
        current = distributed.Client.current()
    except ValueError:
        current = None
    if current is not None and current.scheduler.address == name:
        return Dask(current)
    try:
        at = {"scheduler_file": name} if name.endswith(".json") else {"address": name}
        client = distributed.Client(**at, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: no Dask scheduler answers there ({error}); start one: dask scheduler") from error
    return Dask(client)
