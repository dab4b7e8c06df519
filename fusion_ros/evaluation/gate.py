"""Limits that a recording's evaluation must keep, for the CI of a vehicle team."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusion_ros.errors import InputError
from fusion_ros.evaluation.scores import CONDITIONS, SCORES

STATISTICS = ("mean", "median", "p5", "p95")
_PERCEPTION = ("mAP50", "mAP50-95", "mIoU", "AP50 ", "AP50-95 ", "IoU ")
_KEYS = {"mode", "score", "condition", "statistic", "min", "max"}


@dataclass(frozen=True)
class Limit:
    """One entry of a gate file.

    Attributes:
        mode: label of the mode.
        score: a column of frames.csv, `mAP50`, `mIoU` or another score of the labels, or `stood_in`: share of frames
            in which another mode had to stand in.
        minimum: smallest value allowed, None for no bound.
        maximum: largest value allowed, None for no bound.
        condition: `glare`, `dark` or `normal`, None for all frames.
        statistic: of the frames: `mean`, `median`, `p5` or `p95`; means only under a condition.
    """

    mode: str
    score: str
    minimum: float | None
    maximum: float | None
    condition: str | None = None
    statistic: str = "mean"

    @property
    def needs_labels(self) -> bool:
        """Whether the score compares with labels."""
        return self.score.startswith(_PERCEPTION)

    def __str__(self) -> str:
        light = f" in {self.condition}" if self.condition else ""
        bounds = [f"at least {self.minimum:g}"] if self.minimum is not None else []
        bounds += [f"at most {self.maximum:g}"] if self.maximum is not None else []
        return f"{self.mode}: {self.statistic} {self.score}{light} {' and '.join(bounds)}"


@dataclass(frozen=True)
class Verdict:
    """A limit, the value found (None where no frame has one), and whether it is kept."""

    limit: Limit
    value: float | None
    kept: bool

    def __str__(self) -> str:
        value = "no frame has a value" if self.value is None else f"it is {self.value:.4g}"
        return f"{self.limit}; {value}"


def read_gate(path: Path, modes: Sequence[str]) -> list[Limit]:
    """Read a gate file: YAML with a list `limits` of mappings with mode, score, min or max, condition, statistic.

    Args:
        path: the file.
        modes: labels that are evaluated.

    Raises:
        InputError: it cannot be read, or a limit names what does not exist.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"--gate {path}: cannot be read: {' '.join(str(error).split())}") from error
    entries = document.get("limits") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(f"--gate {path}: has no list `limits`; see docs/evaluation.md")
    return [_limit(entry, f"--gate {path}, limit {number}", modes) for number, entry in enumerate(entries, start=1)]


def check(limits: Sequence[Limit], summary: Mapping[str, Any]) -> list[Verdict]:
    """Hold a summary against the limits. A limit without a value is not kept: what was not measured is not proven."""
    return [_verdict(limit, _value(limit, summary)) for limit in limits]


def _limit(entry: object, where: str, modes: Sequence[str]) -> Limit:
    if not isinstance(entry, dict) or not {"mode", "score"} <= set(entry):
        raise InputError(f"{where}: needs mode and score")
    unknown = set(entry) - _KEYS
    if unknown:
        raise InputError(
            f"{where}: {', '.join(map(repr, sorted(map(str, unknown))))} is none of {', '.join(sorted(_KEYS))}"
        )
    bounds = {name: entry.get(name) for name in ("min", "max")}
    for name, bound in bounds.items():
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int | float) or math.isnan(bound)):
            raise InputError(f"{where}: {name} {bound!r} is not a number")
    if bounds["min"] is None and bounds["max"] is None:
        raise InputError(f"{where}: needs min or max")
    mode, score = str(entry["mode"]), str(entry["score"])
    condition, statistic = entry.get("condition"), str(entry.get("statistic", "mean"))
    if mode not in modes:
        raise InputError(f"{where}: mode {mode!r} is not evaluated ({', '.join(modes)})")
    of_labels = score.startswith(_PERCEPTION)
    if not of_labels and score not in (*SCORES, "stood_in"):
        raise InputError(f"{where}: score {score!r} is not one of {', '.join(SCORES)}, stood_in, mAP50, mAP50-95, mIoU")
    if condition is not None and condition not in CONDITIONS.values():
        raise InputError(f"{where}: condition {condition!r} is not one of {', '.join(CONDITIONS.values())}")
    if statistic not in STATISTICS or (statistic != "mean" and (condition or of_labels or score == "stood_in")):
        raise InputError(
            f"{where}: statistic {statistic!r} cannot be had; mean, or of a score of frames without a condition also "
            f"{', '.join(STATISTICS[1:])}"
        )
    return Limit(mode, score, bounds["min"], bounds["max"], condition, statistic)


def _value(limit: Limit, summary: Mapping[str, Any]) -> float | None:
    facts = summary["modes"][limit.mode]
    if limit.score == "stood_in":
        return float(sum(facts["stood_in"].values())) / float(summary["frames"])
    if limit.needs_labels:
        by_light = summary.get("perception", {}).get("modes", {}).get(limit.mode, {})
        found: float | None = by_light.get(limit.condition or "all", {}).get(limit.score)
    elif limit.condition:
        found = facts["conditions"].get(limit.condition, {}).get("mean", {}).get(limit.score)
    else:
        found = facts["spread"].get(limit.score, {}).get(limit.statistic)
    return found


def _verdict(limit: Limit, value: float | None) -> Verdict:
    if value is None:
        return Verdict(limit, None, False)
    too_low = limit.minimum is not None and value < limit.minimum
    too_high = limit.maximum is not None and value > limit.maximum
    return Verdict(limit, value, not (too_low or too_high))
