"""How far the work came: a bar on a terminal for whatever takes longer than two seconds, or a log of events."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TextIO

_PATIENCE = 2.0  # seconds
_PAUSE = 0.2  # seconds between two notes that have to be asked for
_BETWEEN = 5.0  # seconds between two events that say how far the work came

_log: TextIO | None = None
_quiet = False


@contextmanager
def logging_to(stream: TextIO | None) -> Iterator[None]:
    """Write events of this process to a stream until the block ends; without one, to none. Until then all is shown."""
    global _log, _quiet
    before, _log, _quiet = (_log, _quiet), stream, False
    try:
        yield
    finally:
        _log, _quiet = before


def be_quiet() -> None:
    """Show no progress from now on, until the block of `logging_to` ends."""
    global _quiet
    _quiet = True


def is_quiet() -> bool:
    """Return whether nothing but errors is to be shown."""
    return _quiet


def start_log(stream: TextIO) -> None:
    """Write events to a stream from now on, until the block of `logging_to` ends."""
    global _log
    _log = stream


def event(name: str, **facts: Any) -> bool:
    """Write an event as one line of JSON, with the time in UTC, and return whether there is a log."""
    if _log is None:
        return False
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    _log.write(json.dumps({"time": now, "event": name, **facts}) + "\n")
    _log.flush()
    return True


class Progress:
    """Count work done and, after two seconds on a terminal, show it on standard error.

    Parameters
    ----------
    label : str
        What is being done: ``"scan million.h5"``.
    total : int or None
        Units in all, if known.
    unit : str
    shown : bool, optional
        Default: whether standard error is a terminal.
    """

    def __init__(self, label: str, total: int | None, unit: str = "rows", shown: bool | None = None) -> None:
        self.done = 0
        self._label, self._total, self._unit = label, total, unit
        self._shown = (sys.stderr.isatty() if shown is None else shown) and not _quiet
        self._began = self._asked = time.monotonic()
        self._bar: Any = None
        self._logged = False

    def __enter__(self) -> Self:
        self._logged = event("begin", what=self._label, total=self._total, unit=self._unit)
        return self

    def __call__(self, amount: int, note: str | Callable[[], str] = "") -> None:
        """Add `amount` units; `note` (a loss, a distance) is shown beside the bar, and asked for only now and then."""
        self.done += amount
        if self._logged:
            if time.monotonic() - self._asked >= _BETWEEN:
                self._asked = time.monotonic()
                self._tell("progress", note=note if isinstance(note, str) else note())
            return
        if not self._shown or time.monotonic() - self._began < _PATIENCE:
            return
        if not isinstance(note, str):
            if time.monotonic() - self._asked < _PAUSE:
                return
            self._asked, note = time.monotonic(), note()
        if self._bar is None:
            self._bar, self._task = self._start()
        self._bar.update(self._task, completed=self.done, note=note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._logged:
            self._tell("done" if error is None else "broken off")
        if self._bar is not None:
            self._bar.stop()

    def _tell(self, name: str, note: str = "") -> None:
        seconds = round(time.monotonic() - self._began, 3)
        more = {"note": note} if note else {}
        event(name, what=self._label, done=self.done, total=self._total, unit=self._unit, seconds=seconds, **more)

    def _start(self) -> tuple[Any, Any]:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%" if self._total else f"{{task.completed:,}} {self._unit}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=True,
        )
        bar.start()
        return bar, bar.add_task(self._label, total=self._total, note="")
