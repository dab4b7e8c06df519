"""The command line of bags, as a user calls it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from fusion_ros.cli import main


@pytest.fixture
def pairs(tmp_path):
    for name in ("vi", "ir"):
        (tmp_path / "pairs" / name).mkdir(parents=True)
        for index in range(3):
            cv2.imwrite(str(tmp_path / "pairs" / name / f"{index}.png"), np.full((20, 30), 40 * index, np.uint8))
    return tmp_path / "pairs"


def test_make_then_info(pairs, tmp_path, capsys):
    out = str(tmp_path / "bag")
    assert main(["bag", "make", str(pairs), out, "--rate", "5", "--frames", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 2
    assert main(["bag", "info", out, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    topics = {topic["name"]: topic for topic in facts["topics"]}
    assert facts["duration_s"] == pytest.approx(0.2)
    assert facts["damage"] is None
    assert topics["/rgb/image"]["messages"] == 2
    # Two messages 0.2 s apart.
    assert topics["/rgb/image"]["rate_hz"] == pytest.approx(5.0)
    assert main(["bag", "info", out]) == 0
    assert "/thermal/image" in capsys.readouterr().out


def test_simulate_writes_sqlite3_too(tmp_path, capsys):
    words = ["bag", "simulate", str(tmp_path / "drive"), "--storage", "sqlite3", "--duration", "2", "--width", "64"]
    assert main([*words, "--height", "48", "--seed", "3", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["counts"]["/thermal/image"] == 18
    assert list((tmp_path / "drive").glob("*.db3"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["info", "/nowhere/drive"], "there is no such bag"),
        (["play", "/nowhere/drive"], "there is no such bag"),
        (["make", "/nowhere/pairs", "never"], "there is no such folder"),
        (["play", "{bag}", "--rate", "0"], "rate: 0.0 is not allowed"),
        (["play", "{bag}", "--topics", "/lidar"], "no topic '/lidar' in this bag; it has"),
        (["make", "{pairs}", "{bag}"], "exists already"),
        (["simulate", "{bag}", "--duration", "-1"], "duration: -1.0 is not allowed"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(pairs, tmp_path, capsys, words, reason):
    bag = str(tmp_path / "bag")
    assert main(["bag", "make", str(pairs), bag, "--json"]) == 0
    capsys.readouterr()
    places = {"{bag}": bag, "{pairs}": str(pairs)}
    assert main(["bag", *(places.get(word, word) for word in words)]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert "Traceback" not in error
    assert error.count("\n") == 1
