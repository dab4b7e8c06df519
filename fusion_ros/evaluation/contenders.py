"""The modes that are compared: a pipeline each, as the node would run it, over models that all of them share."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.fusion.fallback import NETWORK_MODES, Model, ModelLoader
from fusion_ros.fusion.registry import NETWORKS, is_available, list_models, load_model
from fusion_ros.pipeline import AUTO, MODES, FusionPipeline, ModelWeights, PipelineConfig, PipelineMemory
from fusion_ros.types import Frame, FramePair, FusedFrame

BASELINES = ("rgb", "thermal", "average")
_COMPACT = "-s"


@dataclass(frozen=True)
class ModeSpec:
    """One entry of `--modes`.

    Attributes:
        label: how it is called in tables.
        name: mode or network: `auto`, `caf`, `caf-s`, `guided` ...
        weights: file or manifest name, empty for the shipped ones.
    """

    label: str
    name: str
    weights: str = ""

    @property
    def mode(self) -> str:
        """The pipeline's mode; a compact network runs in its big sibling's place."""
        return self.name.removesuffix(_COMPACT) if self.name in NETWORKS else self.name


def parse_modes(text: str) -> list[ModeSpec]:
    """What is compared: the asked modes in their order, then `auto` and the baselines where not among them.

    Raises:
        InputError: an unknown name, a network without weights, or the same entry twice.
    """
    names = [word.strip() for word in text.split(",") if word.strip()] or _everything()
    specs = []
    for word in names:
        name, separator, weights = word.partition("=")
        known = dict.fromkeys((*MODES, *list_models()))
        if name not in known:
            raise InputError(f"--modes {word}: {name!r} is not one of {', '.join(known)}")
        if separator and (name not in NETWORKS or not weights):
            raise InputError(f"--modes {word}: weights go with a network ({', '.join(NETWORKS)}) as NAME=WEIGHTS")
        if name in NETWORKS and not weights and not is_available(name):
            raise InputError(f"--modes {word}: this network has no weights yet; there are {', '.join(_everything())}")
        specs.append(ModeSpec(word, name, weights))
    specs += [ModeSpec(name, name) for name in (AUTO, *BASELINES) if name not in {spec.label for spec in specs}]
    labels = [spec.label for spec in specs]
    if len(set(labels)) < len(labels):
        raise InputError(f"--modes {text}: the same mode twice")
    return specs


def _everything() -> list[str]:
    """Every mode that has weights; a mode runs its compact network where there is one, so that is not listed again."""
    names = [name for name in list_models() if name not in BASELINES and not name.endswith(_COMPACT)]
    return [name for name in names if is_available(name)]


class _Remembering:
    """A model that answers the same question twice from memory: what `auto` chose has mostly just been computed.

    While `auto` fades from one mode to the next, it asks for both.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._last: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]] | None = None
        self.milliseconds = 0.0

    def fuse(self, rgb_bgr: NDArray[np.uint8], thermal: NDArray[np.uint8]) -> NDArray[np.uint8]:
        last = self._last
        if last is not None and np.array_equal(last[0], rgb_bgr) and np.array_equal(last[1], thermal):
            return last[2]
        begun = time.perf_counter()
        fused = self._model.fuse(rgb_bgr, thermal)
        self.milliseconds = (time.perf_counter() - begun) * 1e3
        self._last = rgb_bgr, thermal, fused
        return fused

    def warm_up(self, height: int, width: int) -> object:
        return self._model.warm_up(height, width)


class _SharedModels:
    """Loads every model once, whichever pipelines ask for it."""

    def __init__(self, loader: ModelLoader) -> None:
        self._load = loader
        self._loaded: dict[tuple[str, ...], _Remembering | Exception] = {}

    def loader_for(self, spec: ModeSpec) -> ModelLoader:
        """A loader for the pipeline of `spec`."""

        def load(
            name: str, weights: str | os.PathLike[str] | None, device: str, backend: str, precision: str
        ) -> _Remembering:
            name = spec.name if name == spec.mode else name
            key = (name, str(weights or ""), device, backend, precision)
            if key not in self._loaded:
                try:
                    self._loaded[key] = _Remembering(self._load(name, weights, device, backend, precision))
                except Exception as error:
                    self._loaded[key] = error
            found = self._loaded[key]
            if isinstance(found, Exception):
                raise found
            return found

        return load


@dataclass(frozen=True)
class Fused:
    """What one mode made of one pair; `milliseconds` is the time of the fusion alone, NaN where nothing was run."""

    label: str
    frame: FusedFrame
    milliseconds: float


class Contenders:
    """All modes side by side.

    Args:
        specs: what is compared.
        config: device, backend, precision and size.
        loader: takes the place of `fusion_ros.fusion.load_model`.

    Raises:
        InputError: weights, device or backend cannot be used.
    """

    def __init__(self, specs: Sequence[ModeSpec], config: EvaluationConfig, loader: ModelLoader | None = None) -> None:
        self.specs = specs
        shared = _SharedModels(loader or load_model)
        self._pipelines = {spec.label: FusionPipeline(_config(spec, config), shared.loader_for(spec)) for spec in specs}
        for pipeline in self._pipelines.values():
            pipeline.load()
        # Only `auto` has a mode to fade from; what else there is to remember is the same in every pipeline.
        leader = next((spec for spec in specs if spec.mode == AUTO), specs[0])
        self._leader = self._pipelines[leader.label]
        self._all_remember = True

    def reset(self) -> None:
        """Forget the past of every pipeline."""
        for pipeline in self._pipelines.values():
            pipeline.reset()
        self._all_remember = True

    def follow(self, pair: FramePair) -> None:
        """Remember a pair that is not to be fused: gain control, frozen-sensor detection, hysteresis and fade."""
        self._leader.follow(pair)
        self._all_remember = False

    def memory(self) -> PipelineMemory:
        """What `recall` needs to go on behind the last pair, here or in another process."""
        return self._leader.memory()

    def recall(self, memory: PipelineMemory) -> None:
        """Go on where the contenders stood that `memory` is of."""
        for pipeline in self._pipelines.values():
            pipeline.recall(memory if pipeline is self._leader else replace(memory, fade=None))
        self._all_remember = True

    def follow_alone(self, frame: Frame, sensor: Literal["rgb", "thermal"]) -> None:
        """Remember a frame that was passed on while the other camera was silent."""
        self._leader.process_single(frame, sensor)
        self._all_remember = False

    def fuse(self, pair: FramePair) -> list[Fused]:
        """Fuse a pair in every mode, in the order of `specs`."""
        if not self._all_remember:
            self.recall(self.memory())
        # `auto` goes last, so that the model it chooses has mostly answered already.
        made = {}
        for spec in sorted(self.specs, key=lambda spec: spec.mode == AUTO):
            pipeline = self._pipelines[spec.label]
            frame = pipeline.process(pair)
            model = pipeline.models.get(frame.mode) if "fusion" in frame.timings_ms else None
            spent = model.milliseconds if isinstance(model, _Remembering) else float("nan")
            made[spec.label] = Fused(spec.label, frame, spent)
        return [made[spec.label] for spec in self.specs]

    def weights(self) -> dict[str, Path]:
        """File of each network that was loaded, by the network's name, or by mode where it has none."""
        files = {}
        for spec in self.specs:
            for mode, model in self._pipelines[spec.label].models.items():
                inner = getattr(model, "_model", model)
                path = getattr(inner, "weights", None)
                if path is not None:
                    label = spec.label if spec.weights and mode == spec.mode else getattr(inner, "name", mode)
                    files[str(label)] = Path(path)
        return files

    def describe(self) -> dict[str, dict[str, str]]:
        """What ran each mode: weights, backend, device and precision."""
        described = {}
        for spec in self.specs:
            model = self._pipelines[spec.label].models.get(spec.mode)
            inner = getattr(model, "_model", model)
            facts = {
                name: str(getattr(inner, name))
                for name in ("name", "backend", "device", "precision")
                if hasattr(inner, name)
            }
            weights = getattr(inner, "weights", None)
            described[spec.label] = facts | ({"weights": weights.name} if weights is not None else {})
        return described


def _config(spec: ModeSpec, config: EvaluationConfig) -> PipelineConfig:
    weights = {spec.mode: spec.weights} if spec.weights and spec.mode in NETWORK_MODES else {}
    return PipelineConfig(
        mode=spec.mode,
        device=config.device,
        backend=config.backend,
        precision=config.precision,
        models=ModelWeights(**weights),
        output_width=config.width,
    )
