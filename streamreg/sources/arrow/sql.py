"""What a query gives: of DuckDB, and by it of SQLite and PostgreSQL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamreg.errors import DataError, MissingExtra, StreamregError, UsageError
from streamreg.sources.arrow.fields import Fields
from streamreg.sources.arrow.files import fingerprint
from streamreg.sources.arrow.lane import Stream
from streamreg.sources.arrow.source import ArrowSource
from streamreg.sources.arrow.streams import reader_of, told_of
from streamreg.sources.stored.files import require_file

PREFIXES = ("duckdb:", "sqlite:", "postgres:")


@dataclass(slots=True)
class Query(Stream):
    """The rows of a query, which is run for each pass."""

    address: str
    query: str
    rows: int
    label: str
    constants: dict[str, Any] = field(default_factory=dict)

    def batches(self, columns: Sequence[str], rows: int, start: int) -> Iterator[Any]:
        """Yield all rows."""
        with _answer(self.address, self.query) as relation:
            yield from reader_of(relation, columns, rows)


def open_sql(address: str, query: str | None) -> ArrowSource:
    """Return a source over the rows of a query.

    Parameters
    ----------
    address : str
        ``"duckdb:trips.db"`` or ``"sqlite:trips.db"``, which are opened for reading only; ``"postgres:dbname=trips"``;
        ``"duckdb:"`` alone is a database in memory, from which a query reads files by their paths.
    query : str
        One SELECT. It is run once to count rows, and once for each pass. Rows come in the order that it gives them:
        folds and the last bits of a result depend on that, so end it with ORDER BY where they matter.

    Raises
    ------
    UsageError
        There is no query, it is not one SELECT, or DuckDB is not installed.
    NotFound
        There is no such file.
    DataError
        The query fails.
    """
    if not query:
        raise UsageError(f"{address}: say what to read of it with query='select ...'")
    with _answer(address, query) as relation:
        schema, rows, nullable = told_of(relation)
    fields = Fields()
    fields.add(address, schema, nullable)
    path = _path(address)

    def seen() -> str:
        return f"{address} {query!r} " + (fingerprint(path) if path else "")

    return ArrowSource(address, [Query(address, query, rows, address)], fields, seen)


def _path(address: str) -> str | None:
    """Return the file of a database, if it is one."""
    kind, _, rest = address.partition(":")
    if kind == "postgres" or not rest:
        return None
    return str(require_file(Path(rest)))


@contextmanager
def _answer(address: str, query: str) -> Iterator[Any]:
    """Return the answer to a query, as a relation that was not run."""
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtra("queries are run by DuckDB; pip install 'streamreg[tables]'") from error
    kind, _, rest = address.partition(":")
    path = _path(address)
    try:
        own = kind == "duckdb" and path is not None
        with duckdb.connect(path if own and path else ":memory:", read_only=own) as connection:
            if kind != "duckdb":
                _attach(connection, kind, rest, duckdb.Error)
            statements = connection.extract_statements(query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise UsageError(f"{address}: query={query!r} is not one SELECT, which is all that is run")
            yield connection.sql(query)
    except StreamregError:
        raise
    except duckdb.Error as error:
        raise DataError(f"{address}: the query fails: {(str(error).splitlines() or [''])[0]}") from error


def _attach(connection: Any, kind: str, where: str, failure: type[Exception]) -> None:
    try:
        connection.execute("set autoinstall_known_extensions = false")
        connection.execute(f"load {kind}")
    except failure as error:
        raise MissingExtra(
            f"{kind}: is read by an extension of DuckDB that is not on this machine; get it once with "
            f"duckdb.sql('install {kind}')"
        ) from error
    quoted = where.replace("'", "''")
    connection.execute(f"attach '{quoted}' as there (type {kind}, read_only)")
    connection.execute("use there")
