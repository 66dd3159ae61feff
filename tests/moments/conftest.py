"""The sources that watch a scan live beside the tests of the fold."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "core"))
