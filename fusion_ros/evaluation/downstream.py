"""What detection and segmentation gain from fusion: every input, in every light, against the labels.

The same detector and the same segmenter look at RGB, thermal and fused pictures of the same labelled pairs, in normal
light, with glare on the objects, and darkened. Intervals are over images (percentile bootstrap); what `auto` gains over
the better of RGB and thermal is taken in the same resampling, for the images are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting, validate
from fusion_ros.errors import InputError
from fusion_ros.evaluation.light import CONDITIONS, in_light, parse_conditions
from fusion_ros.exposure import ExposureAnalyzer, ModeSelector
from fusion_ros.metrics.bootstrap import RESAMPLES, interval, resamplings
from fusion_ros.metrics.matching import Matches, match, miss_rate_of, precision_of
from fusion_ros.metrics.segmentation import confusion_matrix, scores_of_confusion
from fusion_ros.perception import Detector, Segmenter
from fusion_ros.training.data.labelled_pairs import LabelledPair
from fusion_ros.training.sensor_mix import INPUTS, mix
from fusion_ros.types import Detections

AUTO = "auto"
SINGLE = ("rgb", "thermal")
_PERSON = "person"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class DownstreamConfig:
    """What is compared.

    Raises:
        InputError: a value that is not allowed.
    """

    conditions: str = setting(",".join(CONDITIONS), "light to compare in, separated by commas")
    inputs: str = setting(
        "rgb,thermal,average,guided,caf,epofusion,dfvo,auto", "pictures to search, separated by commas"
    )
    seed: int = setting(0, "of the synthetic light and of the resampling", minimum=0)
    resamples: int = setting(RESAMPLES, "resamplings of the images for an interval; 0: no intervals", minimum=0)

    def __post_init__(self) -> None:
        validate(self)
        parse_conditions(self.conditions)
        unknown = [name for name in self.input_names if name not in (*INPUTS, AUTO)]
        if unknown or not self.input_names:
            raise InputError(f"inputs: '{self.inputs}' is not a list of {', '.join((*INPUTS, AUTO))}")

    @property
    def input_names(self) -> list[str]:
        """The inputs, each once."""
        return list(dict.fromkeys(word.strip() for word in self.inputs.split(",") if word.strip()))


@dataclass
class _Found:
    """What was found on one input in one light: boxes by image, confusion matrices by image."""

    boxes: list[Detections] = field(default_factory=list)
    confusion: list[NDArray[np.int64]] = field(default_factory=list)


def compare_inputs(
    pairs: Sequence[LabelledPair],
    detector: Detector,
    class_names: Sequence[str],
    config: DownstreamConfig,
    segmenter: Segmenter | None = None,
    masks: Mapping[str, NDArray[np.uint8]] | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Search every input in every light, and sum up.

    Args:
        pairs: with boxes.
        detector: with a low confidence: precision is taken over unsure boxes as well.
        class_names: of the pairs' boxes.
        config: what is compared.
        segmenter: with `masks`, pixels are scored as well.
        masks: true classes in the segmenter's numbering, 255 where unknown, by the pair's name.
        progress: called with pairs done and in all, over all conditions.

    Returns:
        `images`, `boxes` by class, `masked`, `modes` (what `auto` chose, by condition), and `conditions`: by condition
        and input the figures `mAP50`, `mAP50-95`, `AP50 <class>`, `miss rate` (persons, log-average), `mIoU`,
        `IoU <class>`, each as `[value, low, high]`; `gain`: `auto` less the better of RGB and thermal, in mAP50.

    Raises:
        InputError: there is no pair, or the detector does not know one of the classes.
    """
    if not pairs:
        raise InputError("labels: there is no labelled pair to compare on")
    truth = _truth(pairs, detector.class_names, class_names)
    conditions = parse_conditions(config.conditions)
    weights = resamplings(len(pairs), config.resamples, config.seed) if config.resamples else None
    masks = masks or {}
    chosen: dict[str, dict[str, int]] = {}
    figures: dict[str, Any] = {}
    gain: dict[str, list[float]] = {}
    for number, condition in enumerate(conditions):
        found: dict[str, _Found] = {name: _Found() for name in config.input_names}
        modes: Counter[str] = Counter()
        for index, pair in enumerate(pairs):
            modes[_search(pair, condition, config, detector, segmenter, masks.get(pair.name), found)] += 1
            progress(number * len(pairs) + index + 1, len(conditions) * len(pairs))
        chosen[condition] = dict(modes)
        matches = {name: _matches(one.boxes, truth, detector.class_names) for name, one in found.items()}
        figures[condition] = {
            name: _figures(matches[name], one, segmenter.class_names if segmenter else {}, weights)
            for name, one in found.items()
        }
        if AUTO in matches and all(name in matches for name in SINGLE):
            gain[condition] = _gain(matches, weights)
    boxes = Counter(class_names[int(index)] for pair in pairs for index in pair.class_id)
    masked = sum(pair.name in masks for pair in pairs)
    return {
        "images": len(pairs),
        "boxes": dict(boxes),
        "masked": masked,
        "modes": chosen,
        "conditions": figures,
        "gain": gain,
    }


def _truth(pairs: Sequence[LabelledPair], known: Mapping[int, str], class_names: Sequence[str]) -> list[Detections]:
    """Labels in the detector's numbering."""
    ids = {name: number for number, name in known.items()}
    unknown = [name for name in class_names if name not in ids]
    if unknown:
        raise InputError(f"labels: the detector does not know {', '.join(unknown)}; it knows {', '.join(ids)}")
    table = np.array([ids[name] for name in class_names], np.int64)
    return [
        Detections(pair.xyxy, np.ones(len(pair.xyxy), np.float32), table[pair.class_id], dict(known)) for pair in pairs
    ]


def _search(
    pair: LabelledPair,
    condition: str,
    config: DownstreamConfig,
    detector: Detector,
    segmenter: Segmenter | None,
    mask: NDArray[np.uint8] | None,
    found: Mapping[str, _Found],
) -> str:
    """Search a pair on every input, and return what `auto` chose: the mode of a vehicle that comes upon this light."""
    visible = in_light(condition, pair.name, pair.visible, pair.infrared, pair.xyxy, config.seed)
    mode = ModeSelector().update(ExposureAnalyzer().analyze(visible), 0)
    answers: dict[str, tuple[Detections, NDArray[np.int64] | None]] = {}
    for name, one in found.items():
        kind = mode if name == AUTO else name
        if kind not in answers:
            picture = mix(visible, pair.infrared, kind)
            confusion = None
            if segmenter is not None and mask is not None:
                confusion = confusion_matrix(segmenter.segment(picture).class_id, mask, len(segmenter.class_names))
            answers[kind] = detector.detect(picture), confusion
        boxes, confusion = answers[kind]
        one.boxes.append(boxes)
        if confusion is not None:
            one.confusion.append(confusion)
    return mode


def _matches(found: list[Detections], truth: list[Detections], names: Mapping[int, str]) -> dict[str, Matches]:
    """By class, those that are labelled at least once."""
    labelled = {int(class_id) for image in truth for class_id in image.class_id}
    return {names[class_id]: match(found, truth, class_id) for class_id in sorted(labelled)}


def _mean_precision(matches: Mapping[str, Matches], weights: NDArray[np.int64] | None, at_half: bool) -> float:
    """Mean over classes; in a resampling without a class, over the others."""
    values = [precision_of(one, weights) for one in matches.values()]
    means = [float(value[0] if at_half else value.mean()) for value in values]
    known = [mean for mean in means if mean == mean]
    return float(np.mean(known)) if known else float("nan")


def _figures(
    matches: Mapping[str, Matches], found: _Found, mask_names: Mapping[int, str], weights: NDArray[np.int64] | None
) -> dict[str, list[float]]:
    # Matched at 0.5 alone, precision is ten times as quick to resample.
    half = {name: Matches(one.image, one.hit[:1], one.labels) for name, one in matches.items()}
    figures: dict[str, Callable[[NDArray[np.int64] | None], float]] = {
        "mAP50": lambda times: _mean_precision(half, times, at_half=True),
    }
    for name, one in half.items():
        figures[f"AP50 {name}"] = lambda times, one=one: float(precision_of(one, times)[0])  # type: ignore[misc]
    if _PERSON in half:
        figures["miss rate"] = lambda times: miss_rate_of(half[_PERSON], times)
    result = {name: _with_interval(figure, weights) for name, figure in figures.items()}
    result["mAP50-95"] = [_mean_precision(matches, None, at_half=False)]
    if found.confusion:
        result |= _pixel_figures(np.stack(found.confusion), mask_names, weights)
    return result


def _pixel_figures(
    confusion: NDArray[np.int64], names: Mapping[int, str], weights: NDArray[np.int64] | None
) -> dict[str, list[float]]:
    ordered = [names[index] for index in range(len(names))]
    whole = scores_of_confusion(confusion.sum(axis=0), ordered)
    if weights is None:
        return {name: [value] for name, value in whole.items()}
    drawn = resamplings(len(confusion), len(weights))
    resampled = [scores_of_confusion(np.tensordot(times, confusion, 1), ordered) for times in drawn]
    result = {}
    for name, value in whole.items():
        values = [scores[name] for scores in resampled if name in scores]
        result[name] = [value, *np.quantile(values, [0.025, 0.975]).tolist()]
    return result


def _gain(matches: Mapping[str, Mapping[str, Matches]], weights: NDArray[np.int64] | None) -> list[float]:
    """mAP50 of `auto` less that of the better single sensor; which one is better is decided on all images."""
    half = {
        name: {kind: Matches(one.image, one.hit[:1], one.labels) for kind, one in matches[name].items()}
        for name in (AUTO, *SINGLE)
    }
    better = max(SINGLE, key=lambda name: _mean_precision(half[name], None, at_half=True))

    def difference(times: NDArray[np.int64] | None) -> float:
        return _mean_precision(half[AUTO], times, at_half=True) - _mean_precision(half[better], times, at_half=True)

    return _with_interval(difference, weights)


def _with_interval(
    figure: Callable[[NDArray[np.int64] | None], float], weights: NDArray[np.int64] | None
) -> list[float]:
    value = figure(None)
    return [value] if weights is None else [value, *interval(figure, weights)]
