"""The command line: parse and print only. Whatever computes is imported by the command that needs it."""

import os
import sys

import typer

from streamreg.cli import compare, data, fit, job, scan  # noqa: F401 - their commands come with them
from streamreg.cli.base import Output, app
from streamreg.errors import StreamregError


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
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a text file here
        print(output.text, flush=True)
        return output.code
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
            return _fail(f"{error.format_message()} (streamreg --help tells more)", 2)
        raise


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code
