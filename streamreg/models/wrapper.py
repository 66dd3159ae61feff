"""A model that does something of its own with another one, on the same columns and rows."""

from typing import Any

from streamreg.errors import UsageError
from streamreg.models.base import Model
from streamreg.models.needs import Needs


class Wrapper(Model):
    """Base of models that are made of another one and options of their own.

    Parameters
    ----------
    model : Model
        May be given by its place.
    """

    model: Any

    def __init__(self, model: Any = None, /, **options: Any) -> None:
        if model is not None and "model" in options:
            raise UsageError("model is given twice, by its place and by its name; give it once")
        super().__init__(**(options if model is None else {"model": model, **options}))

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # as in `Model`

    def needs(self) -> Needs:
        """Return what the model inside takes."""
        needs: Needs = self.model.needs()
        return needs

    def to_dict(self) -> dict[str, Any]:
        """Return the options of both models together, as a job file has them."""
        return {**self.model.to_dict(), **self.model_dump(mode="json", exclude={"model"})}
