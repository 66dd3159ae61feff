"""The command line: parse and print only. Whatever computes is imported by the command that needs it."""

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from streamreg.cli import compare, data, effects, fit, job, scan, shown  # noqa: F401 - their commands come with them
from streamreg.cli.base import RENAMED, Output, app
from streamreg.errors import IncompleteWarning, StreamregError
from streamreg.progress import event, is_quiet, logging_to

_ORDER = (  # as one meets them
    "generate",
    "inspect",
    "convert",
    "fit",
    "predict",
    "effects",
    "anova",
    "scan",
    "merge",
    "seal",
    "verify",
    "compare",
    "score",
    "table",
    "code",
    "init",
    "run",
    "schema",
)
app.registered_commands.sort(key=lambda command: _ORDER.index(command.callback.__name__))  # type: ignore[union-attr]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Parameters
    ----------
    arguments : list of str, optional
        Default: those of the process.
    """
    began = time.monotonic()
    with logging_to(None), _terminated() as signals:
        code = _run(sys.argv[1:] if arguments is None else arguments, signals)
        event("end", code=code, seconds=round(time.monotonic() - began, 3))
    return code


@contextmanager
def _terminated() -> Iterator[list[int]]:
    """Have SIGTERM interrupt the command as Ctrl-C does; give the list that it is then noted in."""
    came: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield came
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupted(signals: list[int]) -> int:
    return _fail("terminated", 143) if signals else _fail("interrupted", 130)


def _run(arguments: list[str], signals: list[int]) -> int:
    """Run a command, say what went wrong in one line, and return the exit code."""
    try:
        with _warned():
            output = app(_today(arguments) or ["--help"], prog_name="streamreg", standalone_mode=False)
        if not isinstance(output, Output):  # typer printed help, or turned an interrupt into its exit code
            return _interrupted(signals) if output == 130 else int(output or 0)
        return _print(output)
    except StreamregError as error:
        return _fail(str(error).replace("force=True", "--force"), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(signals)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return 141
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 3)
    except Exception as error:
        if hasattr(error, "format_message"):  # what typer raises for a wrong option
            command = getattr(getattr(error, "ctx", None), "command_path", "streamreg")
            return _fail(f"{error.format_message()} ({command} --help tells more)", 2)
        raise


@contextmanager
def _warned() -> Iterator[None]:
    """Say in one line each what is left out of a result."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if not issubclass(category, IncompleteWarning):
                usual(message, category, *rest)
            elif sys.stderr is not None:
                print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)

        warnings.showwarning = show  # type: ignore[assignment]  # its last parameters are of no account here
        warnings.simplefilter("always", IncompleteWarning)
        yield


def _today(arguments: list[str]) -> list[str]:
    """Return the arguments with options of earlier versions under their names of today."""
    out = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in RENAMED:
            print(f"{name} is called {RENAMED[name]} now; the next version will not know {name}", file=sys.stderr)
        out.append(f"{RENAMED.get(name, name)}{equals}{value}")
    return out


def _print(output: Output) -> int:
    if sys.stdout is None or (is_quiet() and not output.asked):  # closed by whoever started us, or not wanted
        return output.code
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a text file here
    try:
        print(output.text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left cannot be written either
        return _fail(f"standard output: {error.strerror}", 3)
    return output.code


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    if not event("error", message=line, code=code) and sys.stderr is not None:  # print would take None for stdout
        print(f"error: {line}", file=sys.stderr)
    return code
