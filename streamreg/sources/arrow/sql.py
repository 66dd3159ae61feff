"""What a query of DuckDB gives, in batches; it reaches SQLite and PostgreSQL too."""

from typing import Any

from streamreg.errors import DataError, UsageError
from streamreg.sources.arrow.frames import StreamSource
from streamreg.sources.stored.files import require

PREFIX = "duckdb:"

_ROWS = 16384  # of a batch


def open_sql(address: str, query: str | None) -> StreamSource:
    """Return a source over the rows of a query.

    Parameters
    ----------
    address : str
        ``"duckdb:trips.db"``, which is opened for reading only; ``"duckdb:"`` alone is a database in memory, from which
        a query reads files by their paths.
    query : str
        One SELECT. Rows come in the order that it gives them: folds and the last bits of a result depend on that, so
        end it with ORDER BY where they matter.

    Raises
    ------
    UsageError
        There is no query, or DuckDB is not installed.
    NotFound
        There is no such file.
    DataError
        The query fails.
    """
    if not query:
        raise UsageError(f"{address}: say what to read of it with query=")
    try:
        import duckdb
    except ImportError:
        raise UsageError("queries are run by DuckDB: pip install 'streamreg[tables]'") from None
    path = address.removeprefix(PREFIX)
    if path:
        require_path(path)

    def again() -> Any:
        try:
            connection = duckdb.connect(path or ":memory:", read_only=bool(path))
            return connection.sql(query).to_arrow_reader(_ROWS)
        except duckdb.Error as error:
            first = (str(error).splitlines() or [""])[0]
            raise DataError(f"{address}: the query fails: {first}") from error

    return StreamSource(address, again().schema, again, False)


def require_path(path: str) -> None:
    """Raise `NotFound` if there is no file of this name; addresses of servers are left to DuckDB."""
    from pathlib import Path

    if "://" not in path and "=" not in path:
        require(Path(path))
