"""Writing a network as ONNX: beside the shipped weights, or into the user's cache for any other weights."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros import __version__
from fusion_ros.errors import InputError, JobError
from fusion_ros.fusion.weights import models_directory, read_manifest, sha256_of

if TYPE_CHECKING:
    import onnx

OPSET = 18
# Raised whenever what `export_onnx` writes changes, so that files in users' caches are written anew.
_FORMAT = 2


def cache_directory() -> Path:
    """Where exported models of the user's own weights are kept: `fusion_ros` in the XDG cache folder."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "fusion_ros"


def onnx_for(weights: Path, network: str, precision: str) -> Path:
    """The ONNX file of some weights: the file itself, the shipped one, the cached one, or one exported now.

    Raises:
        InputError: where the weights cannot be read, or must be exported and torch or onnx is not installed.
    """
    if weights.suffix == ".onnx":
        return weights
    shipped = _shipped_onnx(weights) if precision == "fp32" else None
    if shipped is not None:
        return shipped
    digest = sha256_of(weights)
    cached = cache_directory() / "onnx" / f"{digest[:32]}-{precision}-{_FORMAT}.onnx"
    if not cached.is_file():
        export_onnx(weights, network, cached, precision)
    return cached


def _shipped_onnx(weights: Path) -> Path | None:
    """The ONNX file the manifest lists beside `weights`, whose checksums `find_weights` has verified."""
    if weights.parent != models_directory():
        return None
    for entry in read_manifest().values():
        if weights.name in entry.files:
            return entry.path(".onnx")
    return None


def export_onnx(weights: Path, network: str, target: Path, precision: str = "fp32") -> None:
    """Write a network as ONNX with inputs `visible`, `infrared` and output `fused`, any N, H and W, all float32.

    A network with a guidance module has a second output, `guidance`.

    Batch norms are folded. With fp16 the network's inside is fp16. The file appears whole or not at all.

    Raises:
        InputError: where the weights cannot be read or what exporting needs is not installed.
        JobError: where the export fails.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch.onnx needs it, and would say so less clearly)
        import torch
    except ImportError as error:
        raise InputError(
            f"{weights}: has to be exported to ONNX, which needs {error.name}; "
            f"install it (pip install torch onnx onnxscript) or use backend torch"
        ) from error
    from fusion_ros.fusion.network_loading import fold_batch_norm, load_network

    inner = {"fp32": torch.float32, "fp16": torch.float16}[precision]

    class FloatInFloatOut(torch.nn.Module):
        """The network in its precision, with float32 at both ends."""

        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.module: Any = module  # with more methods than torch.nn.Module declares

        def forward(self, visible: torch.Tensor, infrared: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if guided:
                both = self.module.forward_with_guidance(visible.to(inner), infrared.to(inner))
                return tuple(image.float() for image in both)
            return (self.module(visible.to(inner), infrared.to(inner)).float(),)

    loaded = fold_batch_norm(load_network(weights, network)).to(inner)
    guided = hasattr(loaded, "forward_with_guidance") and not getattr(loaded, "traced_export", False)
    module = FloatInFloatOut(loaded).eval()
    # Sides as multiples of what the network needs: the exporter refuses any size it cannot prove right.
    batch, rows, columns = (torch.export.Dim(name) for name in ("batch", "rows", "columns"))
    multiple = getattr(loaded, "multiple_of", 1)
    axes = {0: batch, 2: multiple * rows, 3: multiple * columns} if multiple > 1 else {0: batch, 2: rows, 3: columns}
    traced = getattr(loaded, "traced_export", False)
    names = ("visible", "infrared", "fused", *(("guidance",) if guided else ()))
    shapes: dict[str, Any] = {"dynamic_shapes": (axes, axes)}
    if traced:
        shapes = {"dynamic_axes": {name: {0: "batch", 2: "height", 3: "width"} for name in names}}
    example = torch.zeros(2, 1, 64, 96)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.onnx")
    try:
        with warnings.catch_warnings():
            # The exporter notes that axes of both inputs share one name, which is the intention.
            warnings.filterwarnings("ignore", message=".*The axis name.*")
            if traced:
                # The older exporter announces its end; the newer one cannot keep a loop yet.
                warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (example, example.clone()),
                str(temporary),
                dynamo=not traced,
                verbose=False,
                opset_version=OPSET,
                input_names=list(names[:2]),
                output_names=list(names[2:]),
                **shapes,
                external_data=False,
            )
        model = onnx.load(str(temporary))
        _strip(model)
        for key, value in (("network", network), ("weights_sha256", sha256_of(weights)), ("precision", precision)):
            model.metadata_props.add(key=key, value=value)
        onnx.checker.check_model(model)
        onnx.save(model, str(temporary))
        temporary.replace(target)
    except OSError as error:
        raise JobError(f"{target}: cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes about the source files it traced: paths of whoever exported."""
    model.producer_name, model.producer_version = "fusion_ros", __version__
    del model.metadata_props[:]
    graph = model.graph
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]


def engine_key(model_sha256: str, parts: dict[str, str]) -> str:
    """Name of a cached file that depends on the model and on everything in `parts`."""
    text = "\n".join([model_sha256, *(f"{key}={value}" for key, value in sorted(parts.items()))])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
