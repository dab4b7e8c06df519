"""A run in numbers: means and spreads of every score by mode and by condition of the light."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion_ros.evaluation.contenders import BASELINES
from fusion_ros.evaluation.frames_file import FramesTable
from fusion_ros.evaluation.scores import CONDITIONS, SCORES, lower_is_better

FORMAT = 1


def summarise(table: FramesTable) -> dict[str, Any]:
    """Numbers of all modes, for `summary.json`; a score without values is left out, so there is no NaN."""
    conditions = np.array([frame.condition for frame in table.frames])
    return {
        "format": FORMAT,
        "frames": len(table.frames),
        "conditions": {name: int((conditions == name).sum()) for name in CONDITIONS.values()},
        "modes": {mode: _of_mode(table, mode, conditions) for mode in table.modes},
        "best": {score: best for score in SCORES if (best := best_mode(table, score)) is not None},
        "recordings": {name: _of_recording(table, name, conditions) for name in recordings_of(table)},
    }


def recordings_of(table: FramesTable) -> list[str]:
    """Names of the recordings, in order; none where there is one input."""
    return list(dict.fromkeys(frame.recording for frame in table.frames if frame.recording))


def _of_recording(table: FramesTable, name: str, conditions: NDArray[np.str_]) -> dict[str, Any]:
    where = np.array([frame.recording == name for frame in table.frames])
    modes = {}
    for mode in table.modes:
        means = {score: mean_of(table.column(mode, score)[where]) for score in SCORES}
        used = [one for one, is_here in zip(table.used[mode], where, strict=True) if is_here]
        modes[mode] = {
            "mean": {score: mean for score, mean in means.items() if not math.isnan(mean)},
            "used": dict(Counter(used)),
            "switches": sum(before != now for before, now in pairwise(used)),
        }
    return {
        "frames": int(where.sum()),
        "conditions": {light: int((conditions[where] == light).sum()) for light in CONDITIONS.values()},
        "modes": modes,
    }


def _of_mode(table: FramesTable, mode: str, conditions: NDArray[np.str_]) -> dict[str, Any]:
    columns = {score: table.column(mode, score) for score in SCORES}
    spreads = {score: spread for score, column in columns.items() if (spread := _spread(column)) is not None}
    by_condition = {}
    for name in CONDITIONS.values():
        where = conditions == name
        if where.any():
            means = {score: mean_of(column[where]) for score, column in columns.items()}
            by_condition[name] = {
                "frames": int(where.sum()),
                "mean": {score: mean for score, mean in means.items() if not math.isnan(mean)},
            }
    used = table.used[mode]
    return {
        "baseline": mode in BASELINES,
        "mean": {score: spread["mean"] for score, spread in spreads.items()},
        "spread": spreads,
        "conditions": by_condition,
        "used": dict(Counter(used)),
        "switches": _switches(table, mode),
        "stood_in": dict(Counter(reason for reason in table.reasons[mode] if reason)),
    }


def _switches(table: FramesTable, mode: str) -> int:
    """Changes of the mode in force from frame to frame; from one recording to the next there is none."""
    frames = zip(table.frames, table.used[mode], strict=True)
    return sum(
        before.recording == now.recording and used_before != used_now
        for (before, used_before), (now, used_now) in pairwise(frames)
    )


def mean_of(column: NDArray[np.float64]) -> float:
    """Mean of the values there are; NaN where there are none."""
    there = column[~np.isnan(column)]
    return float(there.mean()) if there.size else math.nan


def _spread(column: NDArray[np.float64]) -> dict[str, float] | None:
    there = column[~np.isnan(column)]
    if not there.size:
        return None
    low, median, high = (float(value) for value in np.percentile(there, (5, 50, 95)))
    return {
        "mean": float(there.mean()),
        "std": float(there.std()),
        "p5": low,
        "median": median,
        "p95": high,
        "frames": int(there.size),
    }


def best_mode(table: FramesTable, score: str) -> str | None:
    """The mode with the best mean, baselines left out: copying one source, or the plain mean, wins some scores."""
    return best_of({mode: mean_of(table.column(mode, score)) for mode in table.modes}, score)


def best_of(means: Mapping[str, float], score: str, baselines: Sequence[str] = BASELINES) -> str | None:
    """Label of the best of some means; None where there is none but of baselines."""
    there = {mode: mean for mode, mean in means.items() if mode not in baselines and not math.isnan(mean)}
    if not there:
        return None
    return (min if lower_is_better(score) else max)(there, key=lambda mode: there[mode])
