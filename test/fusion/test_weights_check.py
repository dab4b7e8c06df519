"""What the quick look at weights refuses, and that it lets through what loads."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import pytest

from fusion_ros.errors import InputError
from fusion_ros.fusion.weights import models_directory, read_manifest
from fusion_ros.fusion.weights_check import check_weights

SHIPPED = [
    (entry.network, name)
    for entry in read_manifest().values()
    if entry.task == "fusion"
    for name in entry.files
    if name.endswith((".safetensors", ".onnx"))
]


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


TENSOR = {"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(("network", "file_name"), SHIPPED)
def test_shipped_files_pass_under_their_path_and_their_name(network, file_name):
    mode = network.removesuffix("-s")
    check_weights(mode, str(models_directory() / file_name))
    check_weights(mode, "")
    names = [entry.name for entry in read_manifest().values() if entry.network == network]
    for name in names:
        check_weights(mode, name)


def test_weights_of_another_network_are_refused():
    with pytest.raises(InputError, match=r"caf-s.*(is for CAFSNet, not for|not for dfvo)"):
        check_weights("dfvo", str(models_directory() / "caf-s.safetensors"))
    with pytest.raises(InputError, match="caf-s"):
        check_weights("dfvo", "caf-s")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.safetensors", b"", "not whole"),
        ("a.safetensors", b"GIF89a" + bytes(100), "not whole"),
        ("a.safetensors", safetensors(b"{not json"), "spoilt"),
        ("a.safetensors", safetensors(b"[1, 2]"), "spoilt"),
        ("a.safetensors", safetensors({"weight": 3}, bytes(8)), "spoilt"),
        ("a.safetensors", safetensors(TENSOR, bytes(7)), "take 8 bytes, it has 7"),
        ("a.safetensors", safetensors(TENSOR, bytes(8), length=1 << 40), "not whole"),
        ("a.safetensors", safetensors(TENSOR | {"__metadata__": {"network": "DFVONet"}}, bytes(8)), "is for DFVONet"),
        ("a.onnx", b"", "not a whole ONNX file"),
        ("a.onnx", b"Not found", "not a whole ONNX file"),
        # A protocol buffer, but without a graph.
        ("a.onnx", b"\x08\x07", "not a whole ONNX file"),
        # A graph of 100 bytes that has one.
        ("a.onnx", b"\x08\x07\x3a\x64\x00", "not a whole ONNX file"),
        ("a.engine", b"", "is empty"),
        ("a.pth", b"\x80\x02", "weights import"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as refused:
        check_weights("caf", str(path))
    assert str(path) in str(refused.value)


def test_a_cut_off_copy_of_a_shipped_file_is_refused(tmp_path):
    for suffix in (".safetensors", ".onnx"):
        file_name = next(name for _, name in SHIPPED if name.endswith(suffix))
        data = (models_directory() / file_name).read_bytes()
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(data[:-1])
        with pytest.raises(InputError, match="cut"):
            check_weights("caf", str(path))


def test_what_is_not_there_is_refused(tmp_path):
    for weights in ("no-such-name", str(tmp_path / "missing.onnx"), str(tmp_path)):
        with pytest.raises(InputError, match="neither a file nor a name"):
            check_weights("caf", weights)


def test_neither_torch_nor_onnxruntime_is_imported():
    program = (
        "import sys; from fusion_ros.fusion.weights_check import check_weights; "
        f"check_weights('caf', {str(models_directory() / 'caf-s.safetensors')!r}); "
        "sys.exit(bool({'torch', 'onnxruntime'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
