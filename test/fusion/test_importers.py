"""Released checkpoints: what they hold is read, what they would run is not."""

from __future__ import annotations

import collections
import io
import os
import pickle
import zipfile

import cv2
import numpy as np
import pytest
import torch

from fusion_ros.errors import InputError
from fusion_ros.fusion import load_model
from fusion_ros.fusion.importers import import_checkpoint
from fusion_ros.fusion.importers.caf import EXPECTED_CLASSES, LAYER_NAMES
from fusion_ros.fusion.importers.restricted_unpickler import load_inert
from fusion_ros.fusion.network_loading import load_network


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "executed"


class _Call:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


def _checkpoint(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content if isinstance(content, bytes) else pickle.dumps(content, 2))
        archive.writestr("archive/data/0", np.arange(4, dtype=np.float32).tobytes())
    return path


def test_state_dict_saved_by_torch_is_read(tmp_path):
    state = collections.OrderedDict(a=torch.arange(6.0).reshape(2, 3).t(), b=torch.tensor(3), c=torch.ones(2).half())
    torch.save({"model": state}, tmp_path / "state.pth")
    loaded = load_inert(tmp_path / "state.pth", ())["model"]
    assert loaded.keys() == state.keys()
    for key, tensor in state.items():
        assert loaded[key].dtype == tensor.dtype
        torch.testing.assert_close(loaded[key], tensor)


@pytest.mark.parametrize("function", [os.system, eval, exec, print, getattr])
def test_functions_are_refused_by_name_and_not_called(tmp_path, marker, function):
    argument = f"touch {marker}" if function is os.system else f"open({str(marker)!r}, 'w')"
    path = _checkpoint(tmp_path / "malicious.pth", {"fuse": _Call(function, argument)})
    with pytest.raises(InputError, match=function.__name__):
        load_inert(path, EXPECTED_CLASSES)
    assert not marker.exists()


def test_a_class_below_an_expected_module_is_never_instantiated(tmp_path, marker):
    # What looks like a layer is a name only: nothing is imported from torch.nn, least of all a function in it.
    content = b"ctorch.nn.modules.module\nregister_module_forward_hook\n(S'x'\ntR."
    record = load_inert(_checkpoint(tmp_path / "hook.pth", content), EXPECTED_CLASSES)
    assert type(record).class_path == "torch.nn.modules.module.register_module_forward_hook"
    assert record.arguments == ("x",)


def test_dotted_names_do_not_reach_through_an_allowed_module(tmp_path, marker):
    content = b"\x80\x04\x8c\x06models\x8c\x0eOurs.os.system\x93."
    with pytest.raises(InputError, match="not part of such a checkpoint"):
        load_inert(_checkpoint(tmp_path / "dotted.pth", content), EXPECTED_CLASSES)


def test_tensor_reaching_beyond_its_storage_is_refused(tmp_path):
    torch.save({"a": torch.zeros(4)}, tmp_path / "good.pth")
    stored = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "good.pth") as source, zipfile.ZipFile(stored, "w") as target:
        for member in source.namelist():
            data = source.read(member)
            if member.endswith("data.pkl"):
                assert b"K\x04\x85" in data  # the size, (4,)
                data = data.replace(b"K\x04\x85", b"K\xff\x85", 1)
            target.writestr(member, data)
    (tmp_path / "bad.pth").write_bytes(stored.getvalue())
    with pytest.raises(InputError, match="beyond its storage"):
        load_inert(tmp_path / "bad.pth", ())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no zip", b"\x80\x02}q\x00."])
def test_files_that_are_no_checkpoints_are_refused(tmp_path, content):
    path = tmp_path / "garbage.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"garbage\.pth"):
        import_checkpoint("caf", path, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_truncated_pickle_is_refused(tmp_path):
    with pytest.raises(InputError, match="damaged"):
        load_inert(_checkpoint(tmp_path / "cut.pth", pickle.dumps({"a": [1, 2, 3]}, 2)[:-4]), ())


def test_checkpoint_of_another_network_is_refused(tmp_path):
    path = _checkpoint(tmp_path / "other.pth", {"model": {"epoch": 3}})
    with pytest.raises(InputError, match="'fuse'"):
        import_checkpoint("caf", path, tmp_path / "out.safetensors")


def test_unknown_network_lists_the_known(tmp_path):
    with pytest.raises(InputError, match="caf"):
        import_checkpoint("densefuse", tmp_path / "x.pth", tmp_path / "out.safetensors")


def test_layer_names_map_onto_every_released_key(shared_data):
    import json

    released = json.loads((shared_data / "specs" / "checkpoints.json").read_text())["caf_released"]
    assert {key.rpartition(".")[0] for key in released} == LAYER_NAMES.keys()


def test_released_checkpoint_reproduces_the_released_pictures(shared_data, tmp_path):
    """Every pixel within a grey level, except where the released network's tanh is negative.

    There the released code writes a negative number into an unsigned byte, which wraps to a white speck.
    """
    source = shared_data / "weights" / "caf_official_Det_final.pth"
    import_checkpoint("caf", source, tmp_path / "detection.safetensors")
    model = load_model("caf", tmp_path / "detection.safetensors", device="cpu", backend="torch")
    unclamped = load_network(tmp_path / "detection.safetensors", "CAFNet")
    folder = shared_data / "data" / "m3fd"
    negative_pixels = 0
    for name in ("00512.png", "01670.png", "03878.png"):
        visible = cv2.imread(str(folder / "vi" / name))
        infrared = cv2.imread(str(folder / "ir" / name), cv2.IMREAD_GRAYSCALE)
        released = cv2.imread(str(folder / "caf_official_result" / name))
        differs = np.abs(model.fuse(visible, infrared).astype(int) - released).max(-1) > 1
        for top, left in zip(*np.nonzero(differs), strict=True):
            assert _unclamped_at(unclamped, visible, infrared, top, left) < 0
        negative_pixels += int(differs.sum())
    # Counted once with the released arithmetic: 7, 4 and 34 of 786,432 pixels wrap to another grey level.
    assert negative_pixels == 45


def _unclamped_at(network, visible, infrared, top, left):
    """The network's output before the clamp at one pixel, from the 17x17 around it that it depends on."""
    from fusion_ros.fusion.color import luminance, to_unit_range

    window = np.s_[max(0, top - 8) : top + 9, max(0, left - 8) : left + 9]
    images = [
        torch.from_numpy(image[window].copy())[None, None] for image in (luminance(visible), to_unit_range(infrared))
    ]
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        fused = network(*images).fused
    return float(fused[0, 0, min(top, 8), min(left, 8)])
