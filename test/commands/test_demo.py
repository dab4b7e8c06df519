"""`fusion-ros demo` before it starts anything: options, defaults, refusals."""

from __future__ import annotations

import argparse
import dataclasses

import pytest

from fusion_ros.cli import main
from fusion_ros.commands import demo
from fusion_ros.demo.config import DemoConfig


def parse(*words):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return parser.parse_args(words)


def test_without_options_the_defaults_are_those_of_the_config():
    arguments = vars(parse())
    defaults = {field.name: field.default for field in dataclasses.fields(DemoConfig)}
    for name in set(arguments) & set(defaults):
        assert arguments[name] == defaults[name], name


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--frames", "0"], "frames: 0 is not enough"),
        (["--rate", "0"], "rate: 0.0 is not between"),
        (["--device", "tpu"], "device 'tpu': is not one of"),
        (["--backend", "magic"], "backend 'magic': is not one of"),
        (["--backend", "tensorrt", "--device", "cpu"], "needs a GPU"),
        (["--pairs", "/no/such/folder"], "pairs: there is no /no/such/folder"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(words, reason, capsys, tmp_path):
    assert main(["demo", "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_mode_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--mode", "magic"])
    assert ended.value.code == 2
    assert "epofusion" in capsys.readouterr().err


def test_a_file_as_output_folder_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert main(["demo", "--out", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err


def test_a_folder_without_pairs_is_refused_before_any_node_starts(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["demo", "--pairs", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "vi: there is no such folder" in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "out" / "logs").exists()
