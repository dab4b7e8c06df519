"""What a demo is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fusion_ros.errors import InputError
from fusion_ros.fusion.backends import choose
from fusion_ros.pipeline import MODES


@dataclass(frozen=True)
class DemoConfig:
    """Settings of one demo.

    Attributes:
        out: folder for everything that is written.
        pairs: folder with `vi/` and `ir/` (pictures or clips), or None for the simulated drive.
        frames: pairs to replay, None for all of the simulated drive or `default_pairs` of a folder.
        mode: fusion mode, one of `fusion_ros.pipeline.MODES`.
        device: `auto`, `cpu` or `cuda[:n]`.
        backend: `auto`, `torch`, `onnx` or `tensorrt`.
        seed: seed of the simulated drive, None for its default.
        rate: speed of the replay, 1.0 for real time; None to slow down to what this machine can keep up with.
        replay_limit: seconds to which a replay that waits for slow nodes may stretch; then frames are dropped, as on a
            vehicle. Does not count with a `rate`.
        composed: all nodes in one process.
        keep_bag: leave the replayed bag in `out/bag`.
        start_timeout: seconds that the nodes may take until they are active.
        stall_timeout: seconds without any new message after which the replay is given up.

    Raises:
        InputError: a value that cannot be used.
    """

    out: Path = Path("out/demo")
    pairs: Path | None = None
    frames: int | None = None
    mode: str = "auto"
    device: str = "auto"
    backend: str = "auto"
    seed: int | None = None
    rate: float | None = None
    replay_limit: float = 150.0
    composed: bool = False
    keep_bag: bool = False
    start_timeout: float = 120.0
    stall_timeout: float = 45.0

    # Enough of a folder to see every kind of scene, few enough to be fused within a minute on two cores.
    default_pairs = 96

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"mode: {self.mode!r} is not one of {', '.join(MODES)}")
        if self.frames is not None and self.frames < 1:
            raise InputError(f"frames: {self.frames} is not enough for a demo; give 1 or more")
        if self.rate is not None and not 0.01 <= self.rate <= 100.0:
            raise InputError(f"rate: {self.rate} is not between 0.01 and 100; leave it out to let the demo choose")
        if not 1.0 <= self.replay_limit <= 86400.0:
            raise InputError(f"replay-limit: {self.replay_limit} is not between 1 and 86400 seconds")
        if self.pairs is not None and not self.pairs.exists():
            raise InputError(f"pairs: there is no {self.pairs}; give a folder with `vi/` and `ir/`")
        if (self.device, self.backend) != ("auto", "auto"):
            # What the nodes would refuse, but before a recording is made for them.
            choose(self.backend, self.device, "auto")
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"out: {self.out} is a file; give a folder")
