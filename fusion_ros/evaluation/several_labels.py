"""Labels of several recordings, each asked for its own frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from fusion_ros.errors import InputError
from fusion_ros.evaluation.labels import Labels, open_labels
from fusion_ros.evaluation.several_sources import SeveralSources, named, split_key
from fusion_ros.evaluation.sources import Source
from fusion_ros.types import Detections, SegmentationMask


class SeveralLabels:
    """Truth by `<recording>/<key>`; recordings without labels are not scored for them."""

    def __init__(self, labels: Mapping[str, Labels]) -> None:
        self._labels = labels

    @property
    def box_classes(self) -> Collection[str]:
        """See `Labels.box_classes`."""
        return list(dict.fromkeys(name for labels in self._labels.values() for name in labels.box_classes))

    @property
    def mask_classes(self) -> Collection[str]:
        """See `Labels.mask_classes`."""
        return list(dict.fromkeys(name for labels in self._labels.values() for name in labels.mask_classes))

    def boxes(self, key: str, height: int, width: int) -> Detections | None:
        """See `Labels.boxes`."""
        recording, own = split_key(key)
        labels = self._labels.get(recording)
        return labels.boxes(own, height, width) if labels is not None and labels.box_classes else None

    def mask(self, key: str, height: int, width: int) -> SegmentationMask | None:
        """See `Labels.mask`."""
        recording, own = split_key(key)
        labels = self._labels.get(recording)
        return labels.mask(own, height, width) if labels is not None and labels.mask_classes else None

    def close(self) -> None:
        """See `Labels.close`."""
        for labels in self._labels.values():
            labels.close()


def labels_of(labels: str, inputs: Sequence[Path], source: Source) -> Labels:
    """Open the labels of whatever `open_source` has opened.

    A recording among several that has no labels goes without.

    Raises:
        InputError: as `open_labels`; for several, where none of them has labels.
    """
    if not isinstance(source, SeveralSources):
        return open_labels(labels, inputs[0], source.keys)
    found: dict[str, Labels] = {}
    problems = []
    paths = named(inputs)
    for name, own in source.sources.items():
        try:
            found[name] = open_labels(labels, paths[name], own.keys)
        except InputError as error:
            problems.append(str(error))
    if not found:
        raise InputError("; ".join(dict.fromkeys(problems)))
    source.left_without_labels = [name for name in source.sources if name not in found]
    return SeveralLabels(found)
