"""What can be asked of every result, whatever it is of."""

import dataclasses
import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from streamreg.errors import typed
from streamreg.persist import archive
from streamreg.reporting.frames import frame
from streamreg.reporting.table import Table

STATUSES = ("ok", "dependent", "agree", "cannot tell", "differ", "not converged", "not determined")
"""Words that a status is, or begins with; another one is a sentence that says why the answer is not final."""


class Result:
    """Base of all results: frozen dataclasses that show themselves, become plain values, and travel as files.

    A class gives what is its own: its fields, `table`, and `KIND`. `status` is a field, or a property.

    Attributes
    ----------
    KIND : str
        What saved files say they hold; `streamreg.persist.kinds` lists who reads which.
    _APART : tuple of str
        Fields that `to_dict` leaves out, for their size.
    _ASKED : tuple of str
        Properties that `to_dict` gives beside the fields.
    status : str
        "ok", "dependent", the verdict of a comparison, or why the answer is not final.
    """

    __slots__ = ()

    KIND: ClassVar[str]
    _APART: ClassVar[tuple[str, ...]] = ()
    _ASKED: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:  # a field of some: a property of this class would be taken for its default

        @property
        def status(self) -> str:
            """Whether the answer is final."""

    @abstractmethod
    def table(self, rows: int | None = 20) -> Table:
        """Return what there is to show, with at most so many rows (None: all): text, HTML and frames come from it."""

    @typed
    def summary(self, rows: int | None = 20) -> str:
        """Return the table as text, with at most so many rows (None: all)."""
        return self.table(rows).text()

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_frame(self) -> Any:
        """Return all rows of the table as a data frame of pandas, or of polars where pandas is not installed.

        Raises
        ------
        MissingExtra
            Neither is installed.
        """
        return frame(self.table(None).data())

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain Python values, for JSON; what is undefined is None."""
        names = [f.name for f in dataclasses.fields(self) if f.name not in self._APART]  # type: ignore[arg-type]
        out: dict[str, Any] = archive.plain({name: getattr(self, name) for name in (*names, *self._ASKED)})
        return out

    @typed
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to one file: plain arrays and JSON (an .npz archive, without pickle).

        Raises
        ------
        NotFound
            The folder does not exist.
        DataError
            The file cannot be written; nothing is left behind.
        """
        archive.save(path, self.KIND, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; `streamreg.load` reads results of every kind.

        Raises
        ------
        UsageError
            `path` is no path.
        NotFound
            No such file.
        CorruptError
            The file is damaged, or holds something else.
        """
        return archive.restore(path, cls.KIND, cls, cls._sense)

    def _sense(self) -> None:
        """Raise `ValueError` if this cannot be what a fit or a test returned: its file was edited."""


class Final(Result):
    """Base of results that are either given or refused: their `status` is "ok"."""

    __slots__ = ()

    @property
    def status(self) -> str:
        """That the answer is final: "ok"."""
        return "ok"
