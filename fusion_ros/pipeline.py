"""A pair in, a fused frame out: the only place where the order of the steps is written."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import section, setting, validate
from fusion_ros.errors import InputError
from fusion_ros.exposure import ExposureAnalyzer, ExposureConfig, ModeSelector, SelectorConfig
from fusion_ros.fusion.fallback import (
    CLASSICAL_MODES,
    NETWORK_MODES,
    Answer,
    FallbackFusion,
    Model,
    ModelLoader,
)
from fusion_ros.fusion.mode_fade import ModeFade, fade_over
from fusion_ros.thermal import (
    FrozenFrameConfig,
    FrozenFrameDetector,
    Registration,
    RegistrationConfig,
    ThermalAgc,
    ThermalAgcConfig,
)
from fusion_ros.types import Frame, FramePair, FusedFrame

AUTO = "auto"
MODES = (AUTO, *NETWORK_MODES, *CLASSICAL_MODES)
ON_MISSING = ("passthrough", "hold", "drop")

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class ModelWeights:
    """Weights of each network: a path, a name from the manifest, or empty for what is shipped."""

    epofusion: str = setting("", "EPOFusion's weights: a path or a manifest name; empty for the shipped ones")
    dfvo: str = setting("", "DFVO's weights: a path or a manifest name; empty for the shipped ones")
    caf: str = setting("", "CAF's weights: a path or a manifest name; empty for the shipped ones")

    def by_mode(self) -> dict[str, str]:
        """The weights by the name of their network."""
        return {mode: getattr(self, mode) for mode in NETWORK_MODES}


@dataclass(frozen=True)
class PipelineConfig:
    """Everything a user can set about how a pair becomes a fused frame.

    `timeout` and `on_missing` are for whoever feeds the pipeline, since it never waits itself.

    Raises:
        InputError: a value out of range.
    """

    mode: str = setting(AUTO, "fusion mode; auto chooses by exposure", choices=MODES)
    mode_fade: float = setting(
        0.3,
        "time over which the picture goes from one mode's to the next one's, by the stamps; meanwhile both are "
        "computed; 0 changes it at once",
        unit="s",
        minimum=0.0,
        maximum=5.0,
    )
    device: str = setting("auto", "auto, cpu, cuda or cuda:<n>", runtime=False)
    backend: str = setting(
        "auto", "what runs the networks", choices=("auto", "torch", "onnx", "tensorrt"), runtime=False
    )
    precision: str = setting(
        "auto", "number format of the networks", choices=("auto", "fp32", "fp16", "bf16"), runtime=False
    )
    models: ModelWeights = section(ModelWeights, "models")
    selector: SelectorConfig = section(SelectorConfig, "selector")
    exposure: ExposureConfig = section(ExposureConfig, "exposure")
    agc: ThermalAgcConfig = section(ThermalAgcConfig, "thermal")
    frozen: FrozenFrameConfig = section(FrozenFrameConfig, "thermal")
    registration: RegistrationConfig = section(RegistrationConfig, "registration")
    timeout: float = setting(
        0.5, "silence of one camera after which on_missing applies", unit="s", minimum=0.01, maximum=3600.0
    )
    on_missing: str = setting(
        "passthrough",
        "while one camera is silent: passthrough (the other one, flagged), hold (the last fused image), drop (nothing)",
        choices=ON_MISSING,
    )
    output_width: int = setting(
        0, "width of the fused image, 0 for the RGB image's", unit="px", minimum=0, maximum=16384, runtime=False
    )
    output_height: int = setting(
        0, "height of the fused image, 0 for the RGB image's", unit="px", minimum=0, maximum=16384, runtime=False
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class _Stages:
    """The steps before fusion. Replaced as a whole, so that a frame sees either the old ones or the new ones."""

    agc: ThermalAgc
    frozen: FrozenFrameDetector
    registration: Registration
    analyzer: ExposureAnalyzer
    selector: ModeSelector
    fade: ModeFade

    @classmethod
    def of(cls, config: PipelineConfig) -> _Stages:
        return cls(
            ThermalAgc(config.agc),
            FrozenFrameDetector(config.frozen),
            Registration(config.registration),
            ExposureAnalyzer(config.exposure),
            ModeSelector(config.selector),
            ModeFade(config.mode_fade),
        )


@dataclass(frozen=True)
class PipelineMemory:
    """What the frames so far have left behind in a pipeline; it can be pickled.

    Attributes:
        agc: limits of the gain control.
        frozen: the last thermal frame, and how often it came.
        selector: the mode in force, and what calls for another.
        fade: how much of earlier modes is still to be seen; None for a pipeline that stays in one mode.
    """

    agc: ThermalAgc
    frozen: FrozenFrameDetector
    selector: ModeSelector
    fade: ModeFade | None


@dataclass
class _Stopwatch:
    timings_ms: dict[str, float] = field(default_factory=dict)

    def time(self, stage: str, work: Callable[[], ResultT]) -> ResultT:
        start = time.perf_counter()
        try:
            return work()
        finally:
            self.timings_ms[stage] = self.timings_ms.get(stage, 0.0) + (time.perf_counter() - start) * 1e3


class FusionPipeline:
    """Fuses frame pairs one by one.

    `process` and `process_single` belong to one worker thread. Everything that begins with `set_`, `update` and `reset`
    may be called from any thread: a change takes effect with the next frame, never in the middle of one, and a change
    that is refused leaves everything as it was.
    """

    def __init__(self, config: PipelineConfig | None = None, model_loader: ModelLoader | None = None) -> None:
        """Set up without loading anything.

        Args:
            config: all settings.
            model_loader: takes the place of `fusion_ros.fusion.load_model`.
        """
        self._config = PipelineConfig() if config is None else config
        self._fusion = FallbackFusion(
            self._config.device, self._config.backend, self._config.precision, loader=model_loader
        )
        self._lock = threading.Lock()
        self._stages = _Stages.of(self._config)
        self._rgb_shape: tuple[int, int] | None = None

    @property
    def config(self) -> PipelineConfig:
        """The settings that the next frame will see."""
        return self._config

    @property
    def mode(self) -> str:
        """The mode that is asked for; `FusedFrame.mode` says which one is in force."""
        return self._config.mode

    @property
    def models(self) -> Mapping[str, Model]:
        """Loaded models by mode, for their device, backend and precision."""
        return self._fusion.models

    @property
    def problems(self) -> Mapping[str, str]:
        """Why a mode cannot run at the moment, by mode."""
        return self._fusion.problems

    def load(self) -> None:
        """Load the models of all modes.

        Raises:
            InputError: weights, device, backend or precision that were asked for cannot be used.
        """
        self._fusion.load(self._config.models.by_mode())

    def warm_up(self, height: int, width: int) -> None:
        """Run every model once on an image of this size."""
        self._fusion.warm_up(*self._output_shape((height, width)))

    # -- settings ----------------------------------------------------------------------------------------------------

    def set_mode(self, mode: str) -> None:
        """Change the mode; also tries models again that failed. Raises InputError for an unknown mode."""
        with self._lock:
            self._config = replace(self._config, mode=mode)
        self._fusion.retry()

    def set_mode_fade(self, seconds: float) -> None:
        """Change how long a fade between two modes takes, also of one that is under way. Raises InputError."""
        with self._lock:
            self._config = replace(self._config, mode_fade=seconds)
            self._stages.fade.seconds = seconds

    def set_model(self, mode: str, weights: str) -> None:
        """Load other weights for the network `mode` in the caller's thread; the old ones serve meanwhile.

        Raises:
            InputError: they cannot be used; the old model stays.
        """
        with self._lock:
            shape = self._rgb_shape
        # Run once where the size is known, for a network's first frame takes many times as long as the others.
        self._fusion.replace(mode, weights, None if shape is None else self._output_shape(shape))
        with self._lock:
            models = replace(self._config.models, **{mode: weights})
            self._config = replace(self._config, models=models)

    def set_selector(self, selector: SelectorConfig) -> None:
        """Change the thresholds of `auto`; the mode in force stays until a reading calls for another."""
        with self._lock:
            self._config = replace(self._config, selector=selector)
            self._stages.selector.config = selector

    def set_exposure(self, exposure: ExposureConfig) -> None:
        """Change what counts as over-exposed and as dark."""
        with self._lock:
            self._config = replace(self._config, exposure=exposure)
            self._stages = replace(self._stages, analyzer=ExposureAnalyzer(exposure))

    def set_agc(self, agc: str | ThermalAgcConfig) -> None:
        """Change how thermal values become grey: a method's name or a whole config. Raises InputError."""
        with self._lock:
            chosen = replace(self._config.agc, method=agc) if isinstance(agc, str) else agc
            self._config = replace(self._config, agc=chosen)
            self._stages = replace(self._stages, agc=ThermalAgc(chosen))

    def set_frozen(self, frozen: FrozenFrameConfig) -> None:
        """Change when a repeated thermal image counts as a frozen sensor."""
        with self._lock:
            self._config = replace(self._config, frozen=frozen)
            self._stages = replace(self._stages, frozen=FrozenFrameDetector(frozen))

    def set_homography(self, values: Sequence[float]) -> None:
        """Change the map from thermal to RGB pixels, 9 numbers row by row. Raises InputError."""
        registration = RegistrationConfig(homography=tuple(float(value) for value in values))
        with self._lock:
            self._config = replace(self._config, registration=registration)
            self._stages = replace(self._stages, registration=Registration(registration))

    def update(self, config: PipelineConfig) -> None:
        """Bring every setting that may change between two frames to `config`'s value.

        Weights may not, for they take seconds to load: give them to `set_model`, in another thread than the frames'.
        """
        before = self._config
        if config.mode != before.mode:
            self.set_mode(config.mode)
        if config.mode_fade != before.mode_fade:
            self.set_mode_fade(config.mode_fade)
        if config.selector != before.selector:
            self.set_selector(config.selector)
        if config.exposure != before.exposure:
            self.set_exposure(config.exposure)
        if config.agc != before.agc:
            self.set_agc(config.agc)
        if config.frozen != before.frozen:
            self.set_frozen(config.frozen)
        if config.registration != before.registration:
            self.set_homography(config.registration.homography)
        with self._lock:
            self._config = replace(self._config, timeout=config.timeout, on_missing=config.on_missing)

    def reset(self) -> None:
        """Forget the past (gain control, frozen-sensor detection, mode hysteresis, fade), as after a time jump."""
        with self._lock:
            self._stages = _Stages.of(self._config)

    def memory(self) -> PipelineMemory:
        """What `recall` needs to go on behind the last frame, in this pipeline or in one with the same settings."""
        with self._lock:
            stages = self._stages
            return copy.deepcopy(PipelineMemory(stages.agc, stages.frozen, stages.selector, stages.fade))

    def recall(self, memory: PipelineMemory) -> None:
        """Go on where the pipeline stood that `memory` is of."""
        own = copy.deepcopy(memory)
        with self._lock:
            fade = own.fade or ModeFade(self._config.mode_fade)
            self._stages = replace(self._stages, agc=own.agc, frozen=own.frozen, selector=own.selector, fade=fade)

    # -- frames ------------------------------------------------------------------------------------------------------

    def process(self, pair: FramePair) -> FusedFrame:
        """Fuse one pair.

        Args:
            pair: RGB (H, W, 3) uint8 BGR; thermal (h, w) uint8, uint16 or float32, any size.

        Returns:
            The fused frame with the RGB frame's stamp, frame_id and size (or the output size that is set). Where the
            mode asked for cannot be had (no weights, a failing model, a frozen or unreadable thermal image), `mode` is
            what stood in for it and `fallback_reason` says why. After a change of mode the image goes over to the new
            mode's within `mode_fade`; `mode` is the new one from the first pair on.

        Raises:
            InputError: the RGB image is not (H, W, 3) uint8.
        """
        rgb = _checked_rgb(pair.rgb)
        shape = (rgb.shape[0], rgb.shape[1])
        with self._lock:
            stages, mode = self._stages, self._config.mode
            self._rgb_shape = shape
        watch = _Stopwatch()
        thermal, problem = self._prepare_thermal(stages, pair.thermal, shape, watch)
        reading = watch.time("exposure", lambda: stages.analyzer.analyze(rgb))
        # Followed in every mode, so that a change to auto finds the mode that the last seconds call for.
        chosen = stages.selector.update(reading, pair.rgb.stamp_ns)
        mode = chosen if mode == AUTO else mode
        rgb = watch.time("resize", lambda: _resized(rgb, self._output_shape(shape)))
        fading: Mapping[str, float] = {}
        if thermal is None or problem is not None:
            # The other modes' pictures would be made from an image that must not be used.
            stages.fade.reset()
            answer = Answer(rgb, "rgb", None if mode == "rgb" else problem)
        else:
            answer = watch.time("fusion", lambda: self._fusion.fuse(mode, rgb, thermal))
            answer, fading = watch.time(
                "fade", lambda: fade_over(self._fusion, stages.fade, answer, rgb, thermal, pair.rgb.stamp_ns)
            )
        return FusedFrame(
            image=answer.image,
            stamp_ns=pair.rgb.stamp_ns,
            frame_id=pair.rgb.frame_id,
            mode=answer.mode,
            exposure=reading,
            thermal=thermal,
            guidance=answer.guidance,
            fallback_reason=answer.fallback_reason,
            fading_from=fading,
            timings_ms=watch.timings_ms,
        )

    def follow(self, pair: FramePair) -> None:
        """Remember a pair as `process` does without making a picture of it, in a hundredth of the time.

        That a model fails while it runs cannot be seen here: the fade then is that of the model that should have run.

        Raises:
            InputError: the RGB image is not (H, W, 3) uint8.
        """
        rgb = _checked_rgb(pair.rgb)
        with self._lock:
            stages, mode = self._stages, self._config.mode
            self._rgb_shape = (rgb.shape[0], rgb.shape[1])
        is_usable = not stages.frozen.update(pair.thermal.image, pair.thermal.stamp_ns)
        try:
            stages.agc(pair.thermal.image)
        except InputError:
            is_usable = False
        chosen = stages.selector.update(stages.analyzer.analyze(rgb), pair.rgb.stamp_ns)
        if is_usable:
            stages.fade.update(self._fusion.answering(chosen if mode == AUTO else mode), pair.rgb.stamp_ns)
        else:
            stages.fade.reset()

    def process_single(self, frame: Frame, sensor: Literal["rgb", "thermal"], reason: str | None = None) -> FusedFrame:
        """Pass one camera's frame on while the other camera is silent.

        Args:
            frame: the frame of the camera that lives.
            sensor: which camera that is.
            reason: why it is alone; a sentence about the other camera by default.

        Returns:
            A frame with mode `rgb` or `thermal`. A thermal frame is put onto the grid of the RGB frames where one has
            been seen.

        Raises:
            InputError: the image is not one of that camera.
        """
        with self._lock:
            stages, rgb_shape = self._stages, self._rgb_shape
        stages.fade.reset()
        watch = _Stopwatch()
        reading = thermal = None
        if sensor == "rgb":
            rgb = _checked_rgb(frame)
            reading = watch.time("exposure", lambda: stages.analyzer.analyze(rgb))
            stages.selector.update(reading, frame.stamp_ns)
            image = _resized(rgb, self._output_shape((rgb.shape[0], rgb.shape[1])))
        else:
            shape = rgb_shape or (frame.image.shape[0], frame.image.shape[1])
            thermal, problem = self._prepare_thermal(stages, frame, shape, watch)
            if thermal is None:
                raise InputError(problem or "thermal: no image")
            reason = reason or problem
            image = np.asarray(cv2.cvtColor(thermal, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
        return FusedFrame(
            image=image,
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            mode=sensor,
            exposure=reading,
            thermal=thermal,
            fallback_reason=reason or f"{'thermal' if sensor == 'rgb' else 'rgb'}: no image",
            timings_ms=watch.timings_ms,
        )

    def _prepare_thermal(
        self, stages: _Stages, frame: Frame, rgb_shape: tuple[int, int], watch: _Stopwatch
    ) -> tuple[NDArray[np.uint8] | None, str | None]:
        """Grey levels on the output grid, and why they must not be used, where that is so."""
        frozen = watch.time("frozen", lambda: stages.frozen.update(frame.image, frame.stamp_ns))
        try:
            grey = watch.time("agc", lambda: stages.agc(frame.image))
        except InputError as error:
            return None, str(error)
        registered = watch.time(
            "registration", lambda: _resized(stages.registration.warp(grey, rgb_shape), self._output_shape(rgb_shape))
        )
        return registered, "thermal: the image has not changed, the sensor is frozen" if frozen else None

    def _output_shape(self, rgb_shape: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of the fused image; one side given by the user sets the other by the RGB image's aspect."""
        height, width = rgb_shape
        wanted_height, wanted_width = self._config.output_height, self._config.output_width
        if not wanted_height and not wanted_width:
            return rgb_shape
        return (
            wanted_height or max(1, round(height * wanted_width / width)),
            wanted_width or max(1, round(width * wanted_height / height)),
        )


def _checked_rgb(frame: Frame) -> NDArray[np.uint8]:
    image = frame.image
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f"rgb: image of shape {image.shape} and type {image.dtype} cannot be fused; expected (H, W, 3) uint8 in "
            "BGR order"
        )
    return image.view(np.uint8)


def _resized(image: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    if image.shape[:2] == shape:
        return image
    how = cv2.INTER_AREA if image.shape[0] >= 2 * shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (shape[1], shape[0]), interpolation=how), dtype=np.uint8)
