"""A progress bar for whatever takes longer than two seconds, on a terminal only."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

_PATIENCE = 2.0  # seconds
_PAUSE = 0.2  # seconds between two notes that have to be asked for


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
        self._shown = sys.stderr.isatty() if shown is None else shown
        self._began = self._asked = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, amount: int, note: str | Callable[[], str] = "") -> None:
        """Add `amount` units; `note` (a loss, a distance) is shown beside the bar, and asked for only now and then."""
        self.done += amount
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
        if self._bar is not None:
            self._bar.stop()

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
