"""What becomes of rows that cannot be read: they are asked for again, and then the pass fails or leaves them out.

Whatever may pass by itself (a network that is down, a file server that does not answer) is tried again after a wait,
from the row on at which reading stopped, so that no row is taken twice. With ``on_fault="skip"`` a partition that still
cannot be read is left out as a whole, and noted: which rows, and why. Which partitions those are depends on the data
alone, and not on workers or engines.
"""

import errno
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias

from streamreg.design.encoded import EncodedPartition
from streamreg.errors import ChangedError, CorruptError, DataError, IncompleteWarning, StreamregError, UsageError
from streamreg.progress import event
from streamreg.sources.base import Partition, Source
from streamreg.sources.chunk import Chunk

OnFault: TypeAlias = Literal["fail", "skip"]
"""What becomes of rows that cannot be read."""

RETRIES = 3
"""How often a partition that failed for a reason that may pass is read again."""

WAIT = 0.25
"""Seconds before the first of these; each further wait is twice as long."""

_PASSING = {
    getattr(errno, name)
    for name in (
        *("EAGAIN", "EBUSY", "ECOMM", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH"),
        *("EINTR", "EIO", "ENETDOWN", "ENETRESET", "ENETUNREACH", "ENOLINK", "ENOTCONN", "EPIPE", "EREMOTEIO"),
        *("ESTALE", "ETIME", "ETIMEDOUT"),
    )
    if hasattr(errno, name)
}


class Lack(NamedTuple):
    """Rows `start` to `stop` (excluded), which could not be read, and why."""

    start: int
    stop: int
    reason: str

    def __str__(self) -> str:
        return f"rows {self.start:,} to {self.stop - 1:,}: {self.reason}"


class Unreadable(Exception):  # noqa: N818 - caught before anybody sees it
    """A partition cannot be read, and is to be left out.

    Parameters
    ----------
    reason : str
    whole : bool
        Whether nothing of it can be read now, as far as one can tell: the storage does not answer.
    """

    def __init__(self, reason: str, whole: bool) -> None:
        super().__init__(reason)
        self.whole = whole


@dataclass(slots=True)
class Faults:
    """What a computation does about rows that cannot be read, and which those are.

    Parameters
    ----------
    on_fault : {"fail", "skip"}

    Attributes
    ----------
    known : dict of str to tuple of Lack
        Of each source, by label and fingerprint, the rows that are left out of all passes from now on.
    settled : set of str
        Sources whose rows numbers were already taken of: which of them are left out does not change any more.
    """

    on_fault: OnFault = "fail"
    known: dict[str, tuple[Lack, ...]] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.on_fault not in ("fail", "skip"):
            raise UsageError(f"on_fault is {self.on_fault!r}; it can be 'fail' or 'skip'")

    @property
    def skip(self) -> bool:
        """Whether rows are left out that cannot be read."""
        return self.on_fault == "skip"

    def require_able(self, source: Source) -> None:
        """Make sure that parts of a source can be left out, if that is asked for.

        Raises
        ------
        UsageError
            It is a stream, whose rows pass by once.
        """
        if self.skip and (source.one_pass or source.schema.n_rows is None):
            raise UsageError(
                f"{source.label}: its rows pass by once, so none can be left out for a fault; leave out on_fault, or "
                "write them to a file"
            )

    def fork(self, settled: bool = False) -> "Faults":
        """Return the same for another computation, to which other rows may turn out to be lacking.

        What either finds is known to both. `settled`: the other one goes on with numbers of this one.
        """
        return Faults(self.on_fault, self.known, set(self.settled) if settled else set())

    def of(self, source: Source) -> tuple[Lack, ...]:
        """Return what is known to lack of a source."""
        return self.known.get(_key(source), ()) if self.known else ()

    def note(self, source: Source, found: Sequence[Lack], settles: bool) -> None:
        """Take note of what lacked in a pass over a source, and warn of what is new.

        `settles`: whether numbers come of the rows of this pass, and not only what terms are made of.

        Raises
        ------
        DataError
            Rows lack of which an earlier pass made use.
        """
        if not self.skip:
            return
        key, before = _key(source), self.of(source)
        new = [lack for lack in found if not any(k.start <= lack.start and lack.stop <= k.stop for k in before)]
        if new and key in self.settled:
            raise DataError(
                f"{source.label}: {new[0]}; an earlier pass could read these rows and made use of them, so that they "
                "cannot be left out any more: run again"
            )
        self.known[key] = tuple(sorted({*before, *new}))
        if settles:
            self.settled.add(key)
        for lack in new:
            event("lacking", source=source.label, rows=[lack.start, lack.stop], reason=lack.reason)
        if new:
            count = sum(lack.stop - lack.start for lack in new)
            more = f"; and {len(new) - 1:,} more places" if len(new) > 1 else ""
            warnings.warn(
                f"{source.label}: {count:,} rows could not be read and are left out ({new[0]}{more})",
                IncompleteWarning,
                stacklevel=2,
            )


def _key(source: Source) -> str:
    return f"{source.label} {source.fingerprint()}"


def cut(partition: Partition, known: Sequence[Lack]) -> list[Partition | Lack]:
    """Return a partition in pieces: rows that are known to lack, and what lies between them."""
    stop = partition.stop
    if stop is None or not known:
        return [partition]
    out: list[Partition | Lack] = []
    at = partition.start
    for lack in known:
        a, b = max(lack.start, at), min(lack.stop, stop)
        if a >= b:
            continue
        if at < a:
            out.append(partition.cut(at, a))
        out.append(Lack(a, b, lack.reason))
        at = b
    if not out:
        return [partition]
    return [*out, partition.cut(at, stop)] if at < stop else out


def patient(partition: Partition, label: str, skip: bool = False) -> Partition:
    """Return a partition that is read again where it fails for a reason that may pass.

    Parameters
    ----------
    partition : Partition
    label : str
        What errors call the data.
    skip : bool
        Whether what cannot be read raises `Unreadable`, which says that it is to be left out.
    """
    if isinstance(partition, EncodedPartition):  # terms are made once of each row
        return replace(partition, inner=patient(partition.inner, label, skip))
    return _Patient(partition, label, skip)


@dataclass
class _Patient(Partition):
    inner: Partition
    label: str
    skip: bool

    def __post_init__(self) -> None:
        self.start, self.stop = self.inner.start, self.inner.stop

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order, each of them once.

        Raises
        ------
        Unreadable
            If `skip`: the storage is damaged or does not answer.
        DataError
            Otherwise.
        """
        at, tried = self.start, 0
        while True:
            try:
                for chunk in self.inner.chunks(rows):
                    stop = chunk.start + len(chunk)
                    if stop > at:
                        yield chunk if chunk.start >= at else chunk.cut(at - chunk.start, len(chunk))
                        at, tried = stop, 0
                return
            except (OSError, StreamregError) as error:
                again = self.stop is not None and may_pass(error, self.label)
                if again and tried < RETRIES:
                    time.sleep(WAIT * 2**tried)
                    tried += 1
                    continue
                fault = self._said(error, at, tried)
                if self.skip and _is_fault(fault):
                    raise Unreadable(str(fault), whole=again) from error
                if fault is error:
                    raise
                raise fault from error

    def _said(self, error: Exception, at: int, tried: int) -> StreamregError:
        times = f", also when tried {tried} times more" if tried else ""
        if isinstance(error, StreamregError):
            return error if not tried else type(error)(f"{error}{times}")
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return CorruptError(
            f"{self.label}: rows from {at:,} on cannot be read ({reason}){times}; look after the storage, or get a "
            "sound copy"
        )


def may_pass(error: BaseException, label: str) -> bool:
    """Return whether an error may go away by itself: that of a network or a file server, not of what is stored."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, FileNotFoundError | PermissionError):
            return False
        if isinstance(cause, OSError) and (cause.errno in _PASSING or isinstance(cause, TimeoutError)):
            return True
        cause = cause.__cause__
    return "://" in label and isinstance(error, CorruptError)  # whatever library reads from there


def _is_fault(error: Exception) -> bool:
    """Return whether the storage is at fault, rather than what the rows hold."""
    return isinstance(error, CorruptError) or (isinstance(error, OSError) and not isinstance(error, ChangedError))
