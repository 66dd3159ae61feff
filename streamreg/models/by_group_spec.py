"""A fit for each group of rows: lines in one pass over all rows, other models in passes that all groups share."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, SkipValidation, model_validator

from streamreg.errors import typed
from streamreg.models.base import together
from streamreg.models.estimator import with_run
from streamreg.models.needs import Needs
from streamreg.models.wrapper import Wrapper
from streamreg.scans.faults import OnFault
from streamreg.sources.base import Source
from streamreg.stats.grouped import Column, Grouped

if TYPE_CHECKING:
    from streamreg.results.by_group import GroupFits


class ByGroup(Wrapper):
    """The fits of a `Linear` or `Glm` for the groups of rows that a column names, as `streamreg.fit_by` makes them.

    Parameters
    ----------
    model : Linear or Glm
        May be given by its place: ``sr.ByGroup(sr.Linear(), by="region")``.
    by : str
        A column of whole numbers or bool: a line for each of its values.
    memory_mb : int
        MiB that the moments of all groups may take up, and again as many for their fits.
    """

    model: SkipValidation[Any]  # the classes are imported where a fit is, for the sake of all other commands
    by: str
    memory_mb: int = Field(default=1024, ge=1, le=2**24)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        from streamreg.models.by_group import require_classical

        require_classical(self.model)
        if self.model.device is not None:
            raise ValueError("a device takes products of all rows together; leave out device, or by")
        if self.by in (self.model.features or ()):
            raise ValueError(f"{self.by!r} is the same in all rows of a level; leave it out of features, or out of by")
        return self

    @property
    def gives(self) -> Literal["groups"]:
        """A line for each group."""
        return "groups"

    @property
    def memory(self) -> int:
        """Bytes that the moments of all groups may take up."""
        return self.memory_mb * 2**20

    def needs(self) -> Needs:
        """Return what the fit takes: of lines one pass, whatever the precision."""
        inside: Needs = self.model.needs()
        if "family" in type(self.model).model_fields and not inside.moments:  # the steps of a likelihood
            passes = inside.passes + 1
            return dataclasses.replace(inside, keys=(self.by, *inside.keys), memory=self.memory, passes=passes)
        return dataclasses.replace(inside, apart=Column(self.by), memory=self.memory, passes=1, at_most=False)

    @typed
    @with_run
    def fit(
        self,
        data: Any,
        y: Any = None,
        weight: Any = None,
        *,
        threads: int | None = None,
        progress: bool | None = None,
        engine: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        on_fault: OnFault | None = None,
    ) -> "GroupFits":
        """Read the rows, once for lines, and fit each group.

        Parameters
        ----------
        data : Source, Grouped or the path of its file, or anything that `streamreg.open` takes
        threads : int, optional
        progress : bool, optional
        engine, checkpoint, on_fault : see `streamreg.scan`

        Raises
        ------
        DataError
            The rows are missing, damaged or not finite, or `by` holds other than whole numbers; or a group cannot be
            fitted as asked.
        UsageError
            The groups do not fit in memory.
        """
        from streamreg.models.by_group import fit_by

        data = together(data, y, weight)

        return fit_by(self.model, data, self.by, memory=self.memory, threads=threads, progress=progress, engine=engine)

    def fit_from(self, moments: Grouped[Any], source: Source, **workers: Any) -> "GroupFits":
        """Do the same with the moments of a scan by that column, which may hold more than the model's features."""
        from streamreg.models.by_group import lines

        columns = self.needs().columns(source)
        return lines(self.model, moments, source.label, features=columns, passes=1, memory=self.memory)
