"""A model is a frozen specification: the object, its YAML and the provenance in a result are one thing."""

from abc import abstractmethod
from typing import Any

from pydantic import BaseModel, ConfigDict

from streamreg import sources
from streamreg.sources.base import Source


class Spec(BaseModel):
    """Base of all models. Unknown options are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @abstractmethod
    def fit(self, data: Any, *, threads: int | None = None, progress: bool | None = None) -> Any:
        """Estimate from `data`: a source, or what `streamreg.open` takes."""

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain values, with the kind of the model."""
        return {"kind": type(self).__name__.lower(), **self.model_dump(mode="json")}


def as_source(data: Any) -> Source:
    """Return `data` as a source: a source stays one, anything that `streamreg.open` takes is opened."""
    return data if isinstance(data, Source) else sources.open(data)
