"""The whole state of a training, on disk: continuing from it gives the bits that an unbroken training would have."""

import json
import os
import time
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from streamreg._version import __version__
from streamreg.errors import ChangedError, CorruptError, UsageError
from streamreg.persist import generations
from streamreg.stats.moments import Moments

Arrays = dict[str, NDArray[Any]]

_MOMENTS, _STATE = "moments of a training", "state of a training"


class Checkpoint:
    """A folder that holds the moments and, replaced whole every so often, the state of the training.

    Parameters
    ----------
    folder : path or None
        Made if need be; None keeps nothing.
    model : dict
        The model's options. A checkpoint of another model is refused.
    fingerprint : str
        The source's. A checkpoint of other data is refused.
    resume : bool
        Whether to go on from what the folder holds; if it holds nothing, training begins.
    seconds : float
        Least time between two saves.

    Raises
    ------
    UsageError
        The folder holds a training of another model or another version, or one that is not to be resumed.
    ChangedError
        It was made from other data.
    CorruptError
        It is damaged, and so is the one before it.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        model: dict[str, Any],
        fingerprint: str,
        resume: bool,
        seconds: float,
    ) -> None:
        if folder is None and resume:
            raise UsageError("resume needs checkpoint=FOLDER, where the training was saved")
        self._folder = None if folder is None else Path(folder)
        self._seconds, self._saved = seconds, time.monotonic()
        self._identity = json.dumps(model, sort_keys=True), fingerprint
        self.meta: dict[str, Any] = {}
        self.arrays: Arrays = {}
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        state = self._folder / "state.npz"
        if not any(file.is_file() for file in (self._folder / "moments.npz", state, generations.before(state))):
            return
        if not resume:
            raise UsageError(f"{self._folder} holds a training; say resume to go on with it, or name another folder")
        moments = self._moments()
        found = generations.latest(state, _STATE)
        for values in (moments and moments[0], found and found[0]["identity"]):
            if values is not None:
                self._check(values)
        if found is not None:
            self.meta, self.arrays = found[0]["meta"], found[1]

    def _moments(self) -> tuple[dict[str, Any], Arrays] | None:
        """Return what was kept of the moments; None if there are none, or if they can be made again."""
        assert self._folder is not None
        try:
            return generations.latest(self._folder / "moments.npz", _MOMENTS)
        except CorruptError:
            if not (self._folder / "state.npz").is_file():  # which says to what they belong
                raise
            return None

    def moments(self) -> Moments | None:
        """Return the moments of the training that is resumed."""
        found = None if self._folder is None else self._moments()
        if found is None:
            return None
        return Moments.from_arrays({name.removeprefix("state."): array for name, array in found[1].items()})

    def keep_moments(self, moments: Moments) -> None:
        """Save the moments, with what the checkpoint belongs to."""
        if self._folder is not None:
            arrays = {f"state.{name}": array for name, array in moments.to_arrays().items()}
            generations.keep(self._folder / "moments.npz", _MOMENTS, self._belongs, arrays)

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return self._folder is not None and time.monotonic() - self._saved >= self._seconds

    def save(self, meta: dict[str, Any], arrays: Arrays) -> None:
        """Replace the state on disk."""
        if self._folder is not None:
            values = {"identity": self._belongs, "meta": meta}
            generations.keep(self._folder / "state.npz", _STATE, values, arrays)
            self._saved = time.monotonic()

    @property
    def _belongs(self) -> dict[str, Any]:
        return {"spec": self._identity[0], "fingerprint": self._identity[1], "version": __version__}

    def _check(self, saved: dict[str, Any]) -> None:
        model, fingerprint = self._identity
        if saved.get("version") != __version__:
            version = saved.get("version", "another version")
            raise UsageError(
                f"{self._folder} was made by streamreg {version} and this is {__version__}, which may go another way; "
                "go on with that one, or train anew in another folder"
            )
        if saved["spec"] != model:
            old, new = json.loads(saved["spec"]), json.loads(model)
            changed = ", ".join(f"{k} was {old.get(k)!r}" for k in new if old.get(k) != new[k])
            raise UsageError(f"{self._folder} was made with other options: {changed}; use those, or another folder")
        if saved["fingerprint"] != fingerprint:
            raise ChangedError(f"{self._folder} was made from other data, or they have changed since; train anew")
