"""Two evaluations of the same frames, compared frame by frame with bootstrap confidence intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting, validate
from fusion_ros.errors import InputError
from fusion_ros.evaluation.frames_file import FramesTable, read_frames
from fusion_ros.evaluation.scores import SCORES, lower_is_better

FRAMES = "frames.csv"
# Index arrays of all resamples at once would be large for long recordings.
_RESAMPLES_AT_ONCE = 100


@dataclass(frozen=True)
class ComparisonConfig:
    """How sure a difference must be."""

    confidence: float = setting(0.95, "confidence of the intervals", minimum=0.5, maximum=0.9999)
    resamples: int = setting(2000, "bootstrap samples", minimum=100, maximum=1_000_000)
    seed: int = setting(0, "seed of the bootstrap", minimum=0)
    block: int = setting(
        0, "frames drawn together, since neighbours in time are alike; 0: the cube root of their number", minimum=0
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class Difference:
    """One score of one mode in both evaluations.

    Attributes:
        mode: label in A.
        other_mode: label in B.
        score: name of the score.
        frames: frames that have it in both.
        a: mean in A over these frames.
        b: mean in B.
        difference: B minus A.
        low: lower end of the confidence interval of the difference.
        high: its upper end.
        verdict: `better` or `worse` (B than A) where the interval leaves out zero, `unclear` otherwise, `same` where
            every frame has the same value.
    """

    mode: str
    other_mode: str
    score: str
    frames: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    verdict: str


def compare(
    first: Path,
    second: Path,
    scores: Sequence[str],
    modes: Mapping[str, str] | None = None,
    config: ComparisonConfig | None = None,
) -> list[Difference]:
    """Compare two evaluations.

    Means are compared over the frames that both have; a resample draws the same frames of both (paired), in blocks of
    neighbours (moving block bootstrap, Kuensch 1989), and the interval is that of percentiles.

    Args:
        first: summary.json of A, or its folder; frames.csv lies beside it.
        second: the same of B.
        scores: names from `SCORES`.
        modes: label in B by label in A; None for the modes that both have.
        config: confidence, resamples, seed.

    Raises:
        InputError: a file is missing or no evaluation, the profiles differ, or there is nothing in common.
    """
    config = config or ComparisonConfig()
    for score in scores:
        if score not in SCORES:
            raise InputError(f"--scores: {score!r} is not one of {', '.join(SCORES)}")
    a_summary, b_summary = _read_summary(first), _read_summary(second)
    if a_summary["profile"] != b_summary["profile"]:
        raise InputError(
            f"{first} has profile {a_summary['profile']}, {second} {b_summary['profile']}; their numbers mean "
            "different things: evaluate both with one --profile"
        )
    a, b = read_frames(_folder(first) / FRAMES), read_frames(_folder(second) / FRAMES)
    rows = _common_frames(first, second, a, b)
    pairs = _common_modes(first, second, a, b) if modes is None else _asked_modes(first, second, a, b, modes)
    blocks = _Blocks(config, len(rows[0]))
    return [
        difference
        for mode, other in pairs.items()
        for score in scores
        if (difference := _difference(mode, other, score, a, b, rows, blocks)) is not None
    ]


def note_on_inputs(first: Path, second: Path) -> str:
    """What to tell of two evaluations of different inputs, whose frames are matched by name all the same; or nothing.

    Raises:
        InputError: a file is missing or no evaluation.
    """
    inputs = [_read_summary(path).get("input") for path in (first, second)]
    if inputs[0] == inputs[1] or None in inputs:
        return ""
    return f"A is of {inputs[0]}, B of {inputs[1]}: frames of the same name are taken for the same"


def as_json(differences: Sequence[Difference], config: ComparisonConfig) -> dict[str, Any]:
    """For `--json`."""
    return {
        "confidence": config.confidence,
        "resamples": config.resamples,
        "differences": [asdict(difference) for difference in differences],
    }


class _Blocks:
    """Draws frame indices, the same for every score and mode."""

    def __init__(self, config: ComparisonConfig, frames: int) -> None:
        self.config = config
        self.frames = frames
        length = config.block or max(1, round(frames ** (1 / 3)))
        self.length = min(length, frames)

    def means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of `values` (N,), NaN left out, in each resample; NaN for one that has no value."""
        generator = np.random.default_rng(self.config.seed)
        count = -(-self.frames // self.length)
        there = ~np.isnan(values)
        filled = np.where(there, values, 0.0)
        means = []
        left = self.config.resamples
        while left:
            some = min(left, _RESAMPLES_AT_ONCE)
            left -= some
            starts = generator.integers(0, self.frames - self.length + 1, (some, count, 1))
            chosen = (starts + np.arange(self.length)).reshape(some, -1)[:, : self.frames]
            weights = there[chosen].sum(axis=1)
            with np.errstate(invalid="ignore"):
                means.append(filled[chosen].sum(axis=1) / np.where(weights, weights, np.nan))
        return np.concatenate(means)


def _difference(
    mode: str,
    other: str,
    score: str,
    a: FramesTable,
    b: FramesTable,
    rows: tuple[list[int], list[int]],
    blocks: _Blocks,
) -> Difference | None:
    of_a, of_b = a.column(mode, score)[rows[0]], b.column(other, score)[rows[1]]
    change = of_b - of_a
    there = ~np.isnan(change)
    if not there.any():
        return None
    means = blocks.means(change)
    tail = (1.0 - blocks.config.confidence) / 2.0 * 100.0
    low, high = (float(value) for value in np.nanpercentile(means, (tail, 100.0 - tail)))
    mean = float(change[there].mean())
    if not change[there].any():
        verdict = "same"
    elif low <= 0.0 <= high:
        verdict = "unclear"
    else:
        verdict = "better" if (mean < 0) == lower_is_better(score) else "worse"
    count = int(there.sum())
    return Difference(
        mode, other, score, count, float(of_a[there].mean()), float(of_b[there].mean()), mean, low, high, verdict
    )


def _common_frames(first: Path, second: Path, a: FramesTable, b: FramesTable) -> tuple[list[int], list[int]]:
    in_b = {frame.key: index for index, frame in enumerate(b.frames)}
    common = [(index, in_b[frame.key]) for index, frame in enumerate(a.frames) if frame.key in in_b]
    if not common:
        raise InputError(f"{first} and {second}: no frame in common; compare evaluations of the same input")
    return [i for i, _ in common], [j for _, j in common]


def _common_modes(first: Path, second: Path, a: FramesTable, b: FramesTable) -> dict[str, str]:
    common = {mode: mode for mode in a.modes if mode in b.modes}
    if not common:
        raise InputError(
            f"{first} has {', '.join(a.modes)}, {second} {', '.join(b.modes)}: no mode in common; "
            "name two with --modes A:B"
        )
    return common


def _asked_modes(first: Path, second: Path, a: FramesTable, b: FramesTable, modes: Mapping[str, str]) -> dict[str, str]:
    for path, table, names in ((first, a, modes.keys()), (second, b, modes.values())):
        for name in names:
            if name not in table.modes:
                raise InputError(f"--modes: {path} has no mode {name!r}; it has {', '.join(table.modes)}")
    return dict(modes)


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _read_summary(path: Path) -> Mapping[str, Any]:
    file = path / "summary.json" if path.is_dir() else path
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{file}: is no JSON: {error}") from error
    if not isinstance(summary, dict) or "profile" not in summary or "modes" not in summary:
        raise InputError(f"{file}: is not the summary.json of an evaluation")
    return summary
