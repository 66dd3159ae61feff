"""What can be chosen of a training with Keras."""

import os
from typing import Any, Literal, Self

from pydantic import Field, field_serializer, model_validator

from streamreg.errors import UsageError
from streamreg.families import LEAST_SQUARES, family
from streamreg.models.base import Device
from streamreg.models.estimator import Estimator
from streamreg.models.needs import Needs
from streamreg.neural.losses import Loss, kind_of
from streamreg.neural.losses import Name as LossName

_MEMORY_MB = 128


class KerasOptions(Estimator):
    """The options of `streamreg.Keras`, where they are explained."""

    hidden: tuple[int, ...] = ()
    activation: str = "relu"
    model: Any = None
    loss: LossName = "squared_error"
    delta: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    power: float | None = None
    alpha: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    optimizer: Literal["sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad"] | None = None
    learning_rate: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    batch_size: int | None = Field(default=None, ge=1)
    epochs: int = Field(default=10, ge=1)
    tolerance: float = Field(default=1e-3, gt=0.0, allow_inf_nan=False)
    conditioning: Literal["whiten", "standardise", "none"] = "whiten"
    precision: Literal["float32", "float64"] = "float32"
    validation: float = Field(default=0.0, ge=0.0, lt=1.0)
    patience: int | None = Field(default=None, ge=1)
    l1: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    l2: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    start: Any = None
    device: Device | None = None
    seed: int = Field(default=0, ge=0)
    memory_mb: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _parameters(self) -> Self:
        takes = kind_of(self.loss).takes
        given = {name: getattr(self, name) for name in ("power", "alpha") if getattr(self, name) is not None}
        if takes and takes not in given:
            raise ValueError(f"the {self.loss} loss takes {takes}=, which is not trained; give it, or that of a sr.Glm")
        if other := next((name for name in given if name != takes), None):
            raise ValueError(f"{other} is not for the {self.loss} loss; leave it out")
        try:
            _ = family(Loss.of(self.loss, self.delta, self.parameter).family or LEAST_SQUARES)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def parameter(self) -> float | None:
        """The option that the loss takes."""
        return self.power if self.alpha is None else self.alpha

    @property
    def memory(self) -> int:
        """Bytes for rows that are not in memory anyway."""
        return (self.memory_mb or _MEMORY_MB) * 2**20

    @property
    def gives(self) -> Literal["coefficients", "network"]:
        """A line, or a network."""
        return "coefficients" if self.is_line else "network"

    def needs(self) -> Needs:
        """Return what a fit takes: a scan, and then a pass for each epoch at most."""
        return Needs(
            features=self.features,
            target=self.target,
            formula=self.formula,
            missing=self.missing,
            moments=not self.validation and self.formula is None,
            passes=1 + self.epochs,
            at_most=True,
            memory=self.memory,
            trains=True,
            validation=self.validation,
        )

    @field_serializer("model", "start")
    def _plain(self, value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, str | os.PathLike):
            return str(value)
        return f"{type(value).__name__} {getattr(value, 'name', getattr(value, '__name__', ''))}".strip()

    @property
    def is_line(self) -> bool:
        """Whether this is a line, whose coefficients mean something."""
        return not self.hidden and self.model is None
