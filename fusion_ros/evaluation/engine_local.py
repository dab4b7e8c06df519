"""One pass over all pairs in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from fusion_ros.evaluation import perception as perception_file
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.contenders import Contenders, ModeSpec
from fusion_ros.evaluation.engine import ScoresHere
from fusion_ros.evaluation.fingerprint import fingerprint
from fusion_ros.evaluation.fused_bag import NONE, FusedBag
from fusion_ros.evaluation.gallery import Gallery
from fusion_ros.evaluation.perception import PerceptionModels, PerceptionScorer
from fusion_ros.evaluation.scoring_pass import Progress, ScoringPass
from fusion_ros.evaluation.several_labels import labels_of
from fusion_ros.evaluation.sources import open_source
from fusion_ros.fusion.fallback import ModelLoader


class LocalEngine(ScoresHere):
    """See `Engine`.

    Args:
        inputs: see `open_source`.
        config: of the evaluation.
        specs: the modes.
        labels: as `open_labels` takes them, empty for none.
        found: file for what detector and segmenter find.
        loader: takes the place of `fusion_ros.fusion.load_model`.
        copies: where inputs that are copies come from, by path.

    Raises:
        InputError: an input, the labels or a model cannot be used.
    """

    notes: Sequence[str] = ()

    def __init__(
        self,
        inputs: Sequence[Path],
        config: EvaluationConfig,
        specs: Sequence[ModeSpec],
        labels: str,
        found: Path,
        loader: ModelLoader | None,
        copies: Mapping[str, str] | None = None,
    ) -> None:
        self._config = config
        self._copies = copies or {}
        self._found = found
        with ExitStack() as stack:
            self._source = stack.enter_context(closing(open_source(inputs, config)))
            truth = stack.enter_context(closing(labels_of(labels, inputs, self._source))) if labels else None
            self._contenders = Contenders(specs, config, loader)
            self._perception = PerceptionScorer(truth, found, PerceptionModels(config.device)) if truth else None
            self._open = stack.pop_all()

    @property
    def description(self) -> str:
        """See `Engine`."""
        text = self._source.description
        for path, origin in self._copies.items():
            text = text.replace(path, origin)
        return text

    @property
    def dropped(self) -> Mapping[str, int]:
        """See `Engine`."""
        return self._source.dropped

    @property
    def lost(self) -> Sequence[str]:
        """See `Engine`."""
        return self._source.lost

    def settings(self) -> Mapping[str, Any]:
        """See `Engine`."""
        return {"engine": "local"}

    def models(self) -> Mapping[str, Mapping[str, str]]:
        """See `Engine`."""
        return self._contenders.describe()

    def weights(self) -> Mapping[str, str]:
        """See `Engine`."""
        return fingerprint(self._contenders.weights() | (self._perception.weights() if self._perception else {}))

    def score(self, rows: Path, done: Sequence[str], gallery: Gallery, progress: Progress) -> list[str]:
        """See `Engine`."""
        perception_file.keep_lines_of(self._found, done)
        with ExitStack() as stack:
            fused = None
            if self._config.bag != NONE:
                labels = [spec.label for spec in self._contenders.specs]
                fused = stack.enter_context(FusedBag(rows.parent, labels, self._config.bag))
            scoring = ScoringPass(self._contenders, self._config, rows, gallery, self._perception, fused=fused)
            return scoring.run(self._source, done, progress).sentences

    def extra(self) -> Mapping[str, Any]:
        """See `Engine`: nothing."""
        return {}

    def finish(self) -> None:
        """See `Engine`: nothing is left over."""

    def close(self) -> None:
        """See `Engine`."""
        self._open.close()
