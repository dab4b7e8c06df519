"""What is evaluated, and how."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_ros.configuration import setting, validate
from fusion_ros.errors import InputError
from fusion_ros.metrics import METRICS, PROFILES
from fusion_ros.pairing import PairingConfig


@dataclass(frozen=True)
class EvaluationConfig:
    """Everything that the numbers of an evaluation depend on, but for the input and the weights.

    Raises:
        InputError: a value out of range, or `end` not after `start`.
    """

    modes: str = setting(
        "",
        "modes to compare, separated by commas: names of modes or networks, NAME=WEIGHTS for weights of your own; "
        "empty: every one that has weights here",
    )
    profile: str = setting("textbook", "whose variants of the metrics are computed", choices=tuple(PROFILES))
    start: float = setting(0.0, "seconds into the recording to begin at", unit="s", minimum=0.0)
    end: float = setting(0.0, "seconds into the recording to stop before; 0: its end", unit="s", minimum=0.0)
    stride: int = setting(1, "score every so many pairs; those between count for gain control and modes", minimum=1)
    rgb_topic: str = setting("/rgb/image", "topic of the RGB images in a bag")
    thermal_topic: str = setting("/thermal/image", "topic of the thermal images in a bag")
    slop: float = setting(
        PairingConfig.slop, "largest stamp difference of a pair, as the node's sync.slop", unit="s", minimum=0.0
    )
    thermal_offset: float = setting(
        PairingConfig.thermal_offset, "added to thermal stamps", unit="s", minimum=-10.0, maximum=10.0
    )
    seeds: str = setting("", "simulated drives to evaluate beside or in place of INPUT: their seeds, with commas")
    device: str = setting("auto", "auto, cpu, cuda or cuda:N")
    backend: str = setting("auto", "what runs the networks", choices=("auto", "torch", "onnx", "tensorrt"))
    precision: str = setting("auto", "number format of the networks", choices=("auto", "fp32", "fp16", "bf16"))
    width: int = setting(0, "width to which frames are brought; 0: as they are", unit="px", minimum=0, maximum=16384)
    bag: str = setting(
        "jpeg",
        "fused images of every mode as a recording beside the report: compressed (about 0.1 MB a frame of 640x480 and "
        "mode), raw (0.9 MB), or none",
        choices=("jpeg", "raw", "none"),
    )
    pictures: int = setting(2, "best and worst frames of each mode to show", minimum=0, maximum=20)
    pictures_by: str = setting("VIF", "metric by which a frame is one of the best or worst", choices=METRICS)

    searched_pictures: int = setting(
        1,
        "of the best and of the worst frames of each mode, how many are shown with what detector and segmenter find",
        minimum=0,
        maximum=20,
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.end and self.end <= self.start:
            raise InputError(f"end: {self.end} s is not after start, {self.start} s; the range is empty")
