import json

import pytest

from fusion_ros.cli import main
from fusion_ros.commands.export import check_picture, parse_shape
from fusion_ros.errors import InputError
from fusion_ros.fusion import is_available


@pytest.mark.parametrize("text", ["480", "480x", "480x0", "axb", "1x2x3"])
def test_shapes_that_are_none_are_refused(text):
    with pytest.raises(InputError, match="480x640"):
        parse_shape(text)


def test_shape_is_height_then_width():
    assert parse_shape("480x640") == (480, 640)
    assert check_picture(48, 64)[0].shape == (48, 64)


def test_export_is_checked_against_torch(tmp_path, capsys):
    if not is_available("caf"):
        pytest.skip("no caf weights are shipped")
    out = tmp_path / "caf.onnx"
    assert main(["export", "caf", "--to", "onnx", "--shape", "48x64", "-o", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert out.is_file()
    assert result["max_difference_grey_levels"] < 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["guided", "--to", "onnx"], "cannot be exported"),
        (["caf", "--to", "onnx", "--weights", "none.safetensors"], "none.safetensors"),
        (["caf", "--to", "onnx", "--shape", "big"], "big"),
        (["caf", "--to", "onnx", "-o", "caf.engine"], "must end in .onnx"),
    ],
)
def test_bad_input_is_refused(capsys, arguments, message):
    assert main(["export", *arguments]) == 2
    assert message in capsys.readouterr().err
