"""The whole state of a training, on disk: continuing from it gives the bits that an unbroken training would have."""

import json
import os
import time
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from streamreg._version import __version__
from streamreg.errors import ChangedError, UsageError
from streamreg.persist import archive
from streamreg.stats.moments import Moments

Arrays = dict[str, NDArray[Any]]

_MOMENTS, _STATE = "moments of a training", "state of a training"


class Checkpoint:
    """A folder that holds the moments and, replaced whole every so often, the state of the training.

    Parameters
    ----------
    folder : path or None
        Made if need be; None keeps nothing.
    spec : dict
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
        It is damaged.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        spec: dict[str, Any],
        fingerprint: str,
        resume: bool,
        seconds: float,
    ) -> None:
        if folder is None and resume:
            raise UsageError("resume needs checkpoint=FOLDER, where the training was saved")
        self._folder = None if folder is None else Path(folder)
        self._seconds, self._saved = seconds, time.monotonic()
        self._identity = json.dumps(spec, sort_keys=True), fingerprint
        self.meta: dict[str, Any] = {}
        self.arrays: Arrays = {}
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        if (self._folder / "moments.npz").is_file():
            if not resume:
                raise UsageError(
                    f"{self._folder} holds a training; say resume to go on with it, or name another folder"
                )
            self._check(archive.load(self._folder / "moments.npz", _MOMENTS)[0])
            if (self._folder / "state.npz").is_file():
                self.meta, self.arrays = archive.load(self._folder / "state.npz", _STATE)

    def moments(self) -> Moments | None:
        """Return the moments of the training that is resumed."""
        if self._folder is None or not (self._folder / "moments.npz").is_file():
            return None
        _, arrays = archive.load(self._folder / "moments.npz", _MOMENTS)
        return Moments.from_arrays({name.removeprefix("state."): array for name, array in arrays.items()})

    def keep_moments(self, moments: Moments) -> None:
        """Save the moments, with what the checkpoint belongs to."""
        if self._folder is not None:
            identity = {"spec": self._identity[0], "fingerprint": self._identity[1], "version": __version__}
            arrays = {f"state.{name}": array for name, array in moments.to_arrays().items()}
            archive.write(self._folder / "moments.npz", _MOMENTS, identity, arrays)

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return self._folder is not None and time.monotonic() - self._saved >= self._seconds

    def save(self, meta: dict[str, Any], arrays: Arrays) -> None:
        """Replace the state on disk."""
        if self._folder is not None:
            archive.write(self._folder / "state.npz", _STATE, meta, arrays)
            self._saved = time.monotonic()

    def _check(self, saved: dict[str, Any]) -> None:
        spec, fingerprint = self._identity
        if saved.get("version") != __version__:
            version = saved.get("version", "another version")
            raise UsageError(
                f"{self._folder} was made by streamreg {version} and this is {__version__}, which may go another way; "
                "go on with that one, or train anew in another folder"
            )
        if saved["spec"] != spec:
            old, new = json.loads(saved["spec"]), json.loads(spec)
            changed = ", ".join(f"{k} was {old.get(k)!r}" for k in new if old.get(k) != new[k])
            raise UsageError(f"{self._folder} was made with other options: {changed}; use those, or another folder")
        if saved["fingerprint"] != fingerprint:
            raise ChangedError(f"{self._folder} was made from other data, or they have changed since; train anew")
