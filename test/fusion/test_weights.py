import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from fusion_ros.errors import InputError
from fusion_ros.fusion import ModelUnavailableError, is_available, load_model
from fusion_ros.fusion.network_loading import load_network
from fusion_ros.fusion.weights import find_weights, models_directory, read_manifest, write_safetensors


def _resaved(caf_weights, target, change, network="CAFNet"):
    state = load_file(caf_weights)
    change(state)
    write_safetensors(target, state, network, {"activation": "sigmoid"})
    return target


def test_shipped_files_have_the_manifests_checksums():
    from fusion_ros.fusion.weights import verify_file

    for entry in read_manifest().values():
        assert entry.files, entry.name
        for name, digest in entry.files.items():
            verify_file(models_directory() / name, digest)


def test_models_folder_is_the_one_named_by_the_environment(models_folder):
    assert models_directory() == models_folder
    assert read_manifest()["caf"].network == "caf"
    assert is_available("caf")


def test_folder_without_a_manifest_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSION_ROS_MODELS", str(tmp_path))
    with pytest.raises(InputError, match=r"manifest\.yaml"):
        models_directory()


def test_damaged_shipped_file_is_refused(models_folder):
    path = models_folder / "caf.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="sha256"):
        find_weights("caf", None)


def test_missing_shipped_file_makes_the_network_unavailable(models_folder):
    (models_folder / "caf.safetensors").unlink()
    assert not is_available("caf")
    with pytest.raises(ModelUnavailableError, match="guided"):
        load_model("caf")


def test_manifest_that_is_no_manifest_is_refused(models_folder):
    (models_folder / "manifest.yaml").write_text("models:\n  caf:\n    colour: blue\n")
    with pytest.raises(InputError, match="manifest"):
        read_manifest()


def test_missing_file_says_so(models_folder):
    with pytest.raises(InputError, match=r"nowhere\.safetensors"):
        load_model("caf", models_folder / "nowhere.safetensors")


def test_unknown_manifest_name_lists_the_known(models_folder):
    with pytest.raises(InputError, match="shipped for caf: caf"):
        load_model("caf", "caf-large")


def test_weights_of_another_task_are_refused(models_folder):
    manifest = models_folder / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("task: fusion", "task: detection"))
    with pytest.raises(InputError, match="not for caf"):
        find_weights("caf", "caf")


@pytest.mark.parametrize("content", [b"", b"not a safetensors file", b"\xff" * 64])
def test_garbage_is_refused(tmp_path, content):
    path = tmp_path / "garbage.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"garbage\.safetensors"):
        load_network(path, "CAFNet")


def test_missing_and_unexpected_keys_are_named(tmp_path, caf_weights):
    def rename(state):
        state["encoder9.weight"] = state.pop("reduce.weight")

    path = _resaved(caf_weights, tmp_path / "renamed.safetensors", rename)
    with pytest.raises(InputError, match=r"1 keys missing \(reduce\.weight\), 1 keys unexpected \(encoder9\.weight\)"):
        load_network(path, "CAFNet")


def test_wrong_shape_is_named(tmp_path, caf_weights):
    def reshape(state):
        state["reconstruct.bias"] = torch.zeros(7)

    path = _resaved(caf_weights, tmp_path / "reshaped.safetensors", reshape)
    with pytest.raises(InputError, match=r"reconstruct\.bias has shape \(7,\), the network needs \(1,\)"):
        load_network(path, "CAFNet")


def test_nan_is_refused(tmp_path, caf_weights):
    def spoil(state):
        state["dense.1.conv.weight"][3, 2, 1, 0] = float("nan")

    path = _resaved(caf_weights, tmp_path / "nan.safetensors", spoil)
    with pytest.raises(InputError, match=r"dense\.1\.conv\.weight holds NaN"):
        load_network(path, "CAFNet")


def test_checkpoint_of_another_network_is_refused(tmp_path, caf_weights):
    path = _resaved(caf_weights, tmp_path / "dfvo.safetensors", lambda state: None, network="DFVONet")
    with pytest.raises(InputError, match="DFVONet, not CAFNet"):
        load_network(path, "CAFNet")


def test_bad_configuration_is_refused(tmp_path, caf_weights):
    metadata = {"network": "CAFNet", "config": json.dumps({"activation": "softplus"})}
    save_file(load_file(caf_weights), tmp_path / "bad.safetensors", metadata)
    with pytest.raises(InputError, match="softplus"):
        load_network(tmp_path / "bad.safetensors", "CAFNet")


def test_half_precision_storage_is_widened(tmp_path, caf_weights):
    def halve(state):
        for key, value in state.items():
            if value.is_floating_point():
                state[key] = value.half()

    network = load_network(_resaved(caf_weights, tmp_path / "half.safetensors", halve), "CAFNet")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_pickled_weights_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({}, path)
    with pytest.raises(InputError, match="safetensors only"):
        load_network(path, "CAFNet")
