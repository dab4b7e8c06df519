"""Which engine does the work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fusion_ros.bags.locations import is_url, local_path, shown
from fusion_ros.evaluation import perception as perception_file
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.contenders import ModeSpec
from fusion_ros.evaluation.engine import LOCAL, Engine, EngineConfig
from fusion_ros.evaluation.engine_local import LocalEngine
from fusion_ros.evaluation.live_config import LiveConfig
from fusion_ros.fusion.fallback import ModelLoader


def open_engine(
    engine: EngineConfig,
    places: Sequence[str],
    config: EvaluationConfig,
    specs: Sequence[ModeSpec],
    labels: str,
    out: Path,
    loader: ModelLoader | None,
    live: LiveConfig | None = None,
) -> Engine:
    """Open what there is to evaluate, with the engine that is asked for.

    Args:
        engine: which engine, and its settings.
        places: paths and URLs.
        config: of the evaluation.
        specs: the modes.
        labels: as `open_labels` takes them, empty for none.
        out: folder of the run.
        loader: takes the place of `fusion_ros.fusion.load_model`.
        live: how to replay through the running nodes; None for without them.

    Raises:
        InputError: the engine, an input, the labels or a model cannot be used.
    """
    found = out / perception_file.FILE
    if live is not None:
        from fusion_ros.evaluation.engine_live import LiveEngine

        return LiveEngine([local_path(place) for place in places], config, live, specs, labels, out, loader)
    if engine.engine == LOCAL:
        paths = [local_path(place) for place in places]
        copies = {str(path): shown(place) for path, place in zip(paths, places, strict=True) if is_url(place)}
        return LocalEngine(paths, config, specs, labels, found, loader, copies)
    from fusion_ros.evaluation.engine_ray import RayEngine

    return RayEngine(places, config, engine, labels, out, found, loader)
