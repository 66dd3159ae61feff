"""The whole state of a training, on disk: continuing from it gives the bits that an unbroken training would have."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import ChangedError, CorruptError, UsageError
from streamreg.files import whole
from streamreg.stats.moments import Moments

Arrays = dict[str, NDArray[Any]]

PROTOCOL = 1


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
        The folder holds a training of another model, or one that is not to be resumed.
    ChangedError
        It was made from other data.
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
            self._check(_read(self._folder / "moments.npz")[0])
            if (self._folder / "state.npz").is_file():
                self.meta, self.arrays = _read(self._folder / "state.npz")

    def moments(self) -> Moments | None:
        """Return the moments of the training that is resumed."""
        if self._folder is None or not (self._folder / "moments.npz").is_file():
            return None
        return Moments.from_arrays(_read(self._folder / "moments.npz")[1])

    def keep_moments(self, moments: Moments) -> None:
        """Save the moments, with what the checkpoint belongs to."""
        if self._folder is not None:
            identity = {"spec": self._identity[0], "fingerprint": self._identity[1]}
            arrays = moments.to_arrays()
            _write(self._folder / "moments.npz", identity, arrays)

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return self._folder is not None and time.monotonic() - self._saved >= self._seconds

    def save(self, meta: dict[str, Any], arrays: Arrays) -> None:
        """Replace the state on disk."""
        if self._folder is not None:
            _write(self._folder / "state.npz", meta, arrays)
            self._saved = time.monotonic()

    def _check(self, saved: dict[str, Any]) -> None:
        spec, fingerprint = self._identity
        if saved["spec"] != spec:
            old, new = json.loads(saved["spec"]), json.loads(spec)
            changed = ", ".join(f"{k} was {old.get(k)!r}" for k in new if old.get(k) != new[k])
            raise UsageError(f"{self._folder} was made with other options: {changed}; use those, or another folder")
        if saved["fingerprint"] != fingerprint:
            raise ChangedError(f"{self._folder} was made from other data, or they have changed since; train anew")


def _write(path: Path, meta: dict[str, Any], arrays: Arrays) -> None:
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, checkpoint=np.array(json.dumps({"protocol": PROTOCOL, **meta})), **arrays)


def _read(path: Path) -> tuple[dict[str, Any], Arrays]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta: dict[str, Any] = json.loads(str(arrays.pop("checkpoint")))
    except Exception as error:  # zipfile, zlib, numpy and json each raise their own for damaged bytes
        raise CorruptError(f"{path}: damaged ({error}); delete the folder and train anew") from error
    if meta.pop("protocol") != PROTOCOL:
        raise CorruptError(f"{path}: of another version of streamreg; delete the folder and train anew")
    return meta, arrays
