"""A model that does something of its own with another one, on the same columns and rows."""

from typing import Any

from streamreg.models.base import Spec


class Around(Spec):
    """Base of models that a job builds around one of the library's.

    Parameters
    ----------
    model : Spec
    """

    model: Any

    @property
    def features(self) -> tuple[str, ...] | None:
        """Columns to explain by."""
        features: tuple[str, ...] | None = self.model.features
        return features

    @property
    def target(self) -> str | None:
        """Column to explain."""
        target: str | None = self.model.target
        return target

    @property
    def missing(self) -> str:
        """What to do with rows that hold NaN."""
        return str(self.model.missing)
