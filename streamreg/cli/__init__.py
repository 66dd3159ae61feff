"""The command line: parse and print only. Whatever computes is imported by the command that needs it."""

import os
import sys

import typer

from streamreg.cli import compare, data, fit, job, scan  # noqa: F401 - their commands come with them
from streamreg.cli.base import Output, app
from streamreg.errors import StreamregError

_ORDER = (  # as one meets them
    "generate",
    "inspect",
    "fit",
    "predict",
    "scan",
    "merge",
    "seal",
    "verify",
    "compare",
    "score",
    "run",
)
app.registered_commands.sort(key=lambda command: _ORDER.index(command.callback.__name__))  # type: ignore[union-attr]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Parameters
    ----------
    arguments : list of str, optional
        Default: those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        output = app(arguments or ["--help"], prog_name="streamreg", standalone_mode=False)
        if not isinstance(output, Output):  # typer printed help, or turned an interrupt into its exit code
            return _fail("interrupted", 130) if output == 130 else int(output or 0)
        return _print(output)
    except StreamregError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
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


def _print(output: Output) -> int:
    if sys.stdout is None:  # closed by whoever started us
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
    if sys.stderr is not None:  # print would take None for standard output
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code
