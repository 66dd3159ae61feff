"""The `streamreg` command."""

import sys

from streamreg.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
