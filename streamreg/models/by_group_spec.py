"""A line for each level of a column, in one pass over the rows."""

from typing import Any, Self

from pydantic import Field, SkipValidation, model_validator

from streamreg.errors import typed
from streamreg.models.base import together
from streamreg.models.by_group import GroupFits, fit_by, lines, require_classical
from streamreg.models.linear import Linear
from streamreg.models.wrapper import Around
from streamreg.stats.grouped import Grouped


class ByLevel(Around):
    """The lines of a `Linear` model for the levels of a column, as `streamreg.fit_by` makes them.

    Parameters
    ----------
    model : Linear
    by : str
        A column of whole numbers or bool.
    memory_mb : int
        MiB that the moments of all levels may take up, and again as many for their fits.
    """

    model: SkipValidation[Linear]
    by: str
    memory_mb: int = Field(default=1024, ge=1, le=2**24)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        require_classical(self.model)
        if self.model.device is not None:
            raise ValueError("a device takes products of all rows together; leave out device, or by")
        if self.by in (self.model.features or ()):
            raise ValueError(f"{self.by!r} is the same in all rows of a level; leave it out of features, or out of by")
        return self

    @property
    def powers(self) -> dict[str, int]:
        """Columns to raise to powers."""
        return self.model.powers

    @property
    def memory(self) -> int:
        """Bytes that the moments of all levels may take up."""
        return self.memory_mb * 2**20

    @typed
    def fit(
        self, data: Any, y: Any = None, weight: Any = None, *, threads: int | None = None, progress: bool | None = None
    ) -> GroupFits:
        """Read the rows once, and fit a line for each level.

        Raises
        ------
        DataError
            The rows are missing, damaged or not finite, or `by` holds other than whole numbers; or a level cannot be
            fitted as asked.
        UsageError
            The levels do not fit in memory.
        """
        data = together(data, y, weight)
        return fit_by(self.model, data, self.by, memory=self.memory, threads=threads, progress=progress)

    def fit_from(self, moments: Grouped[Any], label: str, features: tuple[str, ...]) -> GroupFits:
        """Do the same with the moments of a scan by that column, which may hold more than these features."""
        return lines(self.model, moments, label, features=features, passes=1, memory=self.memory)

    def to_dict(self) -> dict[str, Any]:
        """Return the options of the model and of the levels together, as a job file has them."""
        return {**self.model.to_dict(), **self.model_dump(mode="json", exclude={"model"})}
