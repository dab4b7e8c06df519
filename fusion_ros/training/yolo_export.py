"""Writes a trained ultralytics checkpoint as a small ONNX file."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusion_ros.errors import JobError
from fusion_ros.perception.ultralytics_environment import import_ultralytics, kept_torch_threads

if TYPE_CHECKING:
    import onnx

_OPSET = 17
_SMALLEST_TENSOR = 256  # elements; halving smaller ones saves nothing


def export_onnx(checkpoint: Path, out: Path, input_size: int, dynamic: bool = True) -> Path:
    """Write `checkpoint` as ONNX with the weights stored in half precision, and return `out`.

    The network computes in single precision: each stored tensor is widened when ONNX Runtime loads the file, which
    halves the file and costs no time. ultralytics rounds a finished checkpoint's weights to half precision as well.

    Args:
        checkpoint: ultralytics' `.pt`.
        out: the `.onnx` to write.
        input_size: longer side of the input that is used by default, pixels.
        dynamic: leave height, width and batch open.

    Raises:
        JobError: the export failed.
    """
    ultralytics = import_ultralytics()
    with tempfile.TemporaryDirectory() as folder, kept_torch_threads():
        copied = Path(shutil.copy(checkpoint, Path(folder) / "network.pt"))  # the export is written beside its source
        try:
            exported = ultralytics.YOLO(str(copied)).export(
                format="onnx", dynamic=dynamic, simplify=False, imgsz=input_size, opset=_OPSET, device="cpu"
            )
        except Exception as error:
            raise JobError(f"{checkpoint}: cannot be exported: {error}") from error
        store_in_half(Path(exported), out)
    return out


def store_in_half(source: Path, out: Path) -> None:
    """Copy an ONNX file with its large float32 weights stored as float16 and widened by a Cast.

    `out` appears whole or not at all.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(source))
    _forget_local_paths(model)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _SMALLEST_TENSOR:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], f"{name}_widen", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    temporary = out.with_name(f".{out.name}.partial")
    onnx.save(model, str(temporary))
    temporary.replace(out)


def _forget_local_paths(model: onnx.ModelProto) -> None:
    # torch notes the source lines of every node in the file, with the exporting machine's paths.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
    kept = [entry for entry in model.metadata_props if entry.key in _METADATA]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)


# What ultralytics needs to run the file, and who it names as the maker and the licence of the format.
_METADATA = ("names", "stride", "task", "batch", "imgsz", "channels", "end2end", "args", "dynamic", "author", "license")
