"""Who scores the pairs of a run: this process, or a fleet of workers. The numbers are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fusion_ros.configuration import setting, validate
from fusion_ros.errors import InputError
from fusion_ros.evaluation.gallery import Gallery
from fusion_ros.evaluation.perception import PerceptionScorer
from fusion_ros.evaluation.scoring_pass import Progress

LOCAL, RAY = "local", "ray"


@dataclass(frozen=True)
class EngineConfig:
    """How the work of an evaluation is done; the numbers do not depend on it.

    Raises:
        InputError: a value out of range, or one that the engine does not take.
    """

    engine: str = setting(LOCAL, "local: this process; ray: many workers", choices=(LOCAL, RAY))
    ray_address: str = setting("", "cluster for --engine ray: HOST:PORT or auto; empty: one on this machine")
    workers: int = setting(
        0, "workers of --engine ray; 0: one for each core, or each GPU where there are any", minimum=0, maximum=10000
    )
    shard_frames: int = setting(100, "most pairs that --engine ray scores in one go", minimum=2, maximum=1_000_000)

    def __post_init__(self) -> None:
        validate(self)
        if self.engine != RAY:
            for name in ("ray_address", "workers"):
                if getattr(self, name):
                    raise InputError(f"--{name.replace('_', '-')} {getattr(self, name)}: goes with --engine ray")


class Engine(Protocol):
    """Scores the pairs of what there is to evaluate.

    Attributes:
        description: what is evaluated, for a person.
        dropped: images that are in no pair, by reason.
        lost: what could not be read, in sentences; scoring can add to it.
        labelled: whether there are labels.
        box_names: classes of boxes that are compared, by the detector's ids.
        mask_names: classes of masks that are compared, by the segmenter's ids.
        notes: what happened on the way without a consequence for the numbers, in sentences.
    """

    @property
    def description(self) -> str: ...

    @property
    def dropped(self) -> Mapping[str, int]: ...

    @property
    def lost(self) -> Sequence[str]: ...

    @property
    def labelled(self) -> bool: ...

    @property
    def box_names(self) -> Mapping[int, str]: ...

    @property
    def mask_names(self) -> Mapping[int, str]: ...

    @property
    def notes(self) -> Sequence[str]: ...

    def settings(self) -> Mapping[str, Any]:
        """What a run that is to be resumed has to have in common with the one before."""

    def models(self) -> Mapping[str, Mapping[str, str]]:
        """What runs each mode."""

    def weights(self) -> Mapping[str, str]:
        """Fingerprints of the files of networks, detector and segmenter."""

    def score(self, rows: Path, done: Sequence[str], gallery: Gallery, progress: Progress) -> list[str]:
        """Score what is not yet scored.

        Args:
            rows: file to append the frames' rows to; it has its header. What was found by detector and segmenter goes
                to a file beside it.
            done: keys of the frames that it holds already.
            gallery: where best and worst frames go.
            progress: called with pairs or shards done and in all.

        Returns:
            What could not be scored, in sentences.
        """

    def extra(self) -> Mapping[str, Any]:
        """What the engine adds to the summary."""

    def finish(self) -> None:
        """Remove what only an interrupted run needs."""

    def close(self) -> None:
        """Let go of files and workers."""


class ScoresHere:
    """What engines have in common whose detector and segmenter run in this process."""

    _perception: PerceptionScorer | None

    @property
    def labelled(self) -> bool:
        """See `Engine`."""
        return self._perception is not None

    @property
    def box_names(self) -> Mapping[int, str]:
        """See `Engine`."""
        return self._perception.box_names if self._perception else {}

    @property
    def mask_names(self) -> Mapping[int, str]:
        """See `Engine`."""
        return self._perception.mask_names if self._perception else {}
