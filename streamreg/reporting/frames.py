"""Tables as data frames, of whichever library is installed."""

from collections.abc import Mapping
from typing import Any

from streamreg.errors import MissingExtra


def frame(columns: Mapping[str, Any]) -> Any:
    """Return columns as a data frame of pandas, or else of polars.

    Raises
    ------
    MissingExtra
        Neither is installed.
    """
    try:
        import pandas
    except ImportError:
        pass
    else:
        return pandas.DataFrame(dict(columns))
    try:
        import polars
    except ImportError:
        raise MissingExtra("a data frame needs pandas or polars; pip install pandas") from None
    return polars.DataFrame({name: list(values) for name, values in columns.items()})
