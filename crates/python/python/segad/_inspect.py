"""Models of products."""

from __future__ import annotations

import json
import os
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

_LIBTORCH = "segad.Model runs the model's networks in libtorch: pip install 'torch==2.13.*'"

Path = Union[str, "os.PathLike[str]"]


class Model:
    """A model that ``segad fit`` wrote. Threads may share it.

    Attributes
    ----------
    card : dict
        What the model says about itself: parts, segments, threshold, what was measured.
    """

    def __init__(self, loaded: Any) -> None:
        self._model = loaded
        self.card: dict[str, Any] = json.loads(loaded.card())

    @classmethod
    def load(cls, path: Path) -> Model:
        """Reads a model file."""
        try:
            from . import _model
        except ImportError as error:
            raise ImportError(f"{_LIBTORCH} ({error})") from error
        return cls(_model.Model.load(path))

    def inspect(
        self, image: Union[Path, NDArray[np.uint8]], *, reasons: int = 3, name: str = "image"
    ) -> dict[str, Any]:
        """The verdict on one image and what drove it, as ``segad inspect --json`` prints it.

        Parameters
        ----------
        image : path, or array of uint8, (h, w) or (h, w, 3)
            The image. An array is taken as it is: grey, or red, green, blue.
        reasons : int
            How many reasons at most.
        name : str
            What to call an array in the record.
        """
        if reasons < 0:
            raise ValueError(f"reasons = {reasons}: expected at least 0")
        if isinstance(image, (str, os.PathLike)):
            return json.loads(self._model.inspect_file(image, reasons))
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8:
            raise ValueError(f"image = {pixels.dtype} array: expected uint8")
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
            raise ValueError(f"image = array of shape {pixels.shape}: expected (h, w) or (h, w, 3)")
        pixels = np.ascontiguousarray(pixels)
        return json.loads(self._model.inspect_pixels(pixels, name, reasons))
