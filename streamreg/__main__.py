"""The `streamreg` command, as a process of its own."""

import gc
import sys
import warnings


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, by default that of this process, and return the exit code."""
    # What imports make stays until the end: looking for garbage among it takes a tenth of a short command's time.
    gc.set_threshold(50_000)
    if not sys.warnoptions:  # libraries warn programmers; users are told by results and errors
        warnings.simplefilter("ignore")
    try:
        from streamreg.cli import main as run

        return run(arguments)
    except KeyboardInterrupt:  # before the command line could catch it
        print("error: interrupted", file=sys.stderr)
        return 130
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
