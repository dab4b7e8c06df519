"""Fusion that always answers: the mode that is asked for where it can run, the next best where it cannot."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.fusion.registry import ModelUnavailableError, load_model

NETWORK_MODES = ("epofusion", "dfvo", "caf")
CLASSICAL_MODES = ("guided", "average", "rgb", "thermal")
FALLBACK_NETWORK = "caf"
# In order: needs no weights and no GPU; cannot fail.
FALLBACKS = ("guided", "rgb")
# A model that failed while running is left alone for so many frames: a GPU that is full answers with an exception that
# costs time, and what filled it may go away.
FRAMES_UNTIL_RETRY = 100


class Model(Protocol):
    """What is needed of a `fusion_ros.fusion.FusionModel`."""

    def fuse(self, rgb_bgr: NDArray[np.uint8], thermal: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Fuse (H, W, 3) uint8 BGR with (H, W) uint8."""

    def warm_up(self, height: int, width: int) -> object:
        """Run once at this size."""


@runtime_checkable
class GuidedModel(Protocol):
    """A model that may also say where over-exposure hides objects."""

    def fuse_with_guidance(
        self, rgb_bgr: NDArray[np.uint8], thermal: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Fuse, and (H, W) uint8, 255 at such places, or None."""


class ModelLoader(Protocol):
    """The signature of `fusion_ros.fusion.load_model` as it is used here."""

    def __call__(
        self, name: str, weights: str | os.PathLike[str] | None, device: str, backend: str, precision: str
    ) -> Model:
        """Load a model; raises InputError."""


@dataclass(frozen=True)
class Answer:
    """What `FallbackFusion.fuse` made.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        mode: the mode that made it.
        fallback_reason: why that is not the mode asked for, or None.
        guidance: (H, W) uint8, 255 where over-exposure hides an object, where the network predicts that.
    """

    image: NDArray[np.uint8]
    mode: str
    fallback_reason: str | None = None
    guidance: NDArray[np.uint8] | None = None


class FallbackFusion:
    """All fusion modes, loaded in advance so that a switch between two frames costs nothing.

    A network without weights is replaced by `caf`. A model that raises while it runs is replaced by `guided` and tried
    again after `FRAMES_UNTIL_RETRY` frames, or at once after `retry` or `replace`.

    `fuse` belongs to one worker thread; `replace` and `retry` may be called from any.
    """

    def __init__(
        self,
        device: str = "auto",
        backend: str = "auto",
        precision: str = "auto",
        loader: ModelLoader | None = None,
    ) -> None:
        self._where = (device, backend, precision)
        self._load: ModelLoader = load_model if loader is None else loader
        self._lock = threading.Lock()
        self._models: dict[str, Model] = {}
        self._missing: dict[str, str] = {}
        self._failed: dict[str, tuple[str, int]] = {}

    @property
    def models(self) -> Mapping[str, Model]:
        """The models that are loaded, by mode."""
        with self._lock:
            return dict(self._models)

    @property
    def problems(self) -> Mapping[str, str]:
        """Why a mode cannot run at the moment, by mode; empty when all is well."""
        with self._lock:
            return {**self._missing, **{mode: reason for mode, (reason, _) in self._failed.items()}}

    def load(self, weights: Mapping[str, str]) -> None:
        """Load every mode.

        Args:
            weights: a path or manifest name by network; shipped weights where it is missing or empty. Only what a user
                chose is insisted on: shipped weights that cannot be used make the mode fall back.

        Raises:
            InputError: weights given here, or a device, backend or precision given by name, cannot be used.
        """
        insists = any(choice != "auto" for choice in self._where)
        for mode in (*NETWORK_MODES, *CLASSICAL_MODES):
            chosen = weights.get(mode) or None
            try:
                model = self._load(mode, chosen, *self._where)
            except ModelUnavailableError as error:
                if chosen:
                    raise
                self._note_missing(mode, str(error))
            except Exception as error:
                if chosen or (insists and isinstance(error, InputError)) or mode in CLASSICAL_MODES:
                    raise
                self._note_missing(mode, f"{mode}: {_one_line(error)}")
            else:
                self._put(mode, model)

    def replace(self, mode: str, weights: str, warm_up: tuple[int, int] | None = None) -> None:
        """Load other weights for a network; the next frame uses them.

        Args:
            mode: `epofusion`, `dfvo` or `caf`.
            weights: a path or a name from the manifest; empty for the shipped weights.
            warm_up: (H, W) to run the new model at once before it takes the old one's place, None for not at all.

        Raises:
            InputError: they cannot be used; the old model stays.
        """
        if mode not in NETWORK_MODES:
            raise InputError(f"models.{mode}: there is no such network; there are {', '.join(NETWORK_MODES)}")
        model = self._load(mode, weights or None, *self._where)
        if warm_up is not None:
            model.warm_up(*warm_up)
        self._put(mode, model)

    def retry(self) -> None:
        """Try models that failed again with the next frame."""
        with self._lock:
            self._failed.clear()

    def warm_up(self, height: int, width: int) -> None:
        """Run every loaded model once at this size; one that fails is noted, not raised."""
        for mode, model in self.models.items():
            try:
                model.warm_up(height, width)
            except Exception as error:
                self._note_failure(mode, error)

    def fuse(self, mode: str, rgb_bgr: NDArray[np.uint8], thermal: NDArray[np.uint8]) -> Answer:
        """Fuse one pair; never raises.

        Args:
            mode: any of `NETWORK_MODES` and `CLASSICAL_MODES`.
            rgb_bgr: (H, W, 3) uint8.
            thermal: (H, W) uint8, on the same grid.
        """
        self._count_down()
        reason = None
        for candidate in self._candidates(mode):
            with self._lock:
                model = self._models.get(candidate)
                problem = self._missing.get(candidate) or self._failed.get(candidate, (None, 0))[0]
            if model is not None and problem is None:
                try:
                    image, guidance = _fuse(model, rgb_bgr, thermal)
                except Exception as error:
                    problem = self._note_failure(candidate, error)
                else:
                    return Answer(image, candidate, None if candidate == mode else reason, guidance)
            reason = reason or problem or f"{candidate}: not loaded"
        return Answer(rgb_bgr, "rgb", reason)

    def answering(self, mode: str) -> str:
        """The mode that answers where `mode` is asked for, as long as no model fails while it runs."""
        with self._lock:
            usable = self._models.keys() - self._missing.keys()
        return next((candidate for candidate in self._candidates(mode) if candidate in usable), "rgb")

    def _candidates(self, mode: str) -> list[str]:
        with self._lock:
            usable = mode in self._models and mode not in self._missing
        replaceable = mode in NETWORK_MODES and not usable
        candidates = [mode, *([FALLBACK_NETWORK] if replaceable else []), *FALLBACKS]
        return list(dict.fromkeys(candidates))

    def _count_down(self) -> None:
        with self._lock:
            self._failed = {mode: (reason, left - 1) for mode, (reason, left) in self._failed.items() if left > 1}

    def _put(self, mode: str, model: Model) -> None:
        with self._lock:
            self._models[mode] = model
            self._missing.pop(mode, None)
            self._failed.pop(mode, None)

    def _note_missing(self, mode: str, reason: str) -> None:
        with self._lock:
            self._missing[mode] = reason

    def _note_failure(self, mode: str, error: Exception) -> str:
        reason = f"{mode}: {_one_line(error)}"
        with self._lock:
            self._failed[mode] = (reason, FRAMES_UNTIL_RETRY)
        return reason


def _fuse(
    model: Model, rgb_bgr: NDArray[np.uint8], thermal: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    return (
        model.fuse_with_guidance(rgb_bgr, thermal)
        if isinstance(model, GuidedModel)
        else (model.fuse(rgb_bgr, thermal), None)
    )


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
