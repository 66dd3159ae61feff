"""Scan once: the moments of all columns, from which any least-squares question is answered later."""

from collections.abc import Mapping

from streamreg.design import Design, Missing
from streamreg.fold import fold
from streamreg.progress import Progress
from streamreg.sources.base import Source
from streamreg.stats.moments import Moments


def scan(
    source: Source,
    features: tuple[str, ...] | None = None,
    missing: Missing = "error",
    threads: int | None = None,
    progress: bool | None = None,
    powers: Mapping[str, int] | None = None,
) -> Moments:
    """Read the rows once and return the moments of the features and, if there is one, the target.

    Parameters
    ----------
    source : Source
        Its weights, if it has a column for them, are in the moments.
    features : tuple of str, optional
        Default: all columns that have no other role.
    missing : {"error", "drop"}
    threads : int, optional
    progress : bool, optional
        Show a progress bar; default: on a terminal.
    powers : dict of str to int, optional
        Columns to raise to powers, and the degree.

    Raises
    ------
    DataError
        The rows are missing, damaged or not finite; the message says where.
    """
    design = Design.of(source, features, missing, powers)
    with Progress(f"scan {source.label}", source.schema.n_rows, shown=progress) as bar:
        return fold(source, design, Moments(design.names), threads=threads, progress=bar)
