"""Two evaluations compared: intervals from a formula, verdicts, and what cannot be compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fusion_ros.cli import main
from fusion_ros.evaluation import frames_file
from fusion_ros.evaluation.comparison import ComparisonConfig, compare
from fusion_ros.evaluation.frames_file import FrameFacts, FramesWriter
from fusion_ros.evaluation.scores import SCORES, Scored
from fusion_ros.types import ExposureReading

FRAMES = 400
LIGHT = ExposureReading(0.0, 0.1, 100.0)


def write_run(folder, values, mode="caf", score="VIF", profile="textbook", first=0, source="drive.mcap"):
    """An evaluation whose frames have these values of one score."""
    folder.mkdir()
    frames_file.begin(folder / "frames.csv")
    with FramesWriter(folder / "frames.csv") as writer:
        for index, value in enumerate(values, start=first):
            scores = dict.fromkeys(SCORES, float("nan")) | {score: float(value)}
            writer.write(FrameFacts(str(index), index / 10, "normal", LIGHT), [Scored(mode, mode, "", scores)])
    (folder / "summary.json").write_text(json.dumps({"input": source, "profile": profile, "modes": {mode: {}}}))
    return folder


@pytest.fixture
def base():
    return np.random.default_rng(1).normal(0.7, 0.2, FRAMES)


def test_the_interval_is_that_of_the_paired_differences(base, tmp_path):
    change = np.random.default_rng(2).normal(0.01, 0.03, FRAMES)
    a, b = write_run(tmp_path / "a", base), write_run(tmp_path / "b", base + change)
    config = ComparisonConfig(block=1, resamples=4000)
    (found,) = compare(a / "summary.json", b, ["VIF"], config=config)
    # Frames differ by 0.2, their differences by 0.03 only: the interval follows the latter.
    error = change.std() / np.sqrt(FRAMES)
    assert found.difference == pytest.approx(change.mean())
    assert found.low == pytest.approx(change.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(change.mean() + 1.96 * error, abs=0.1 * error)
    assert (found.frames, found.verdict) == (FRAMES, "better")
    assert found.a == pytest.approx(base.mean())


def test_neighbours_that_are_alike_widen_the_interval(base, tmp_path):
    # 20 stretches of 20 frames each: as good as 20 independent frames, not 400.
    change = np.repeat(np.random.default_rng(3).normal(0.0, 0.03, 20), 20)
    a, b = write_run(tmp_path / "a", base), write_run(tmp_path / "b", base + change)
    alone, together = (compare(a, b, ["VIF"], config=ComparisonConfig(block=n))[0] for n in (1, 20))
    assert together.high - together.low > 2.5 * (alone.high - alone.low)


@pytest.mark.parametrize(("score", "verdict"), [("MSE", "worse"), ("flicker", "worse"), ("EN", "better")])
def test_what_is_better_depends_on_the_score(base, tmp_path, score, verdict):
    a, b = write_run(tmp_path / "a", base, score=score), write_run(tmp_path / "b", base + 1, score=score)
    assert compare(a, b, [score])[0].verdict == verdict


def test_equal_and_unclear_differences_are_called_so(base, tmp_path):
    a, b = write_run(tmp_path / "a", base), write_run(tmp_path / "b", base)
    assert compare(a, b, ["VIF", "EN"])[0].verdict == "same"
    noise = np.tile([0.1, -0.1], FRAMES // 2)
    c = write_run(tmp_path / "c", base + noise)
    assert compare(a, c, ["VIF"])[0].verdict == "unclear"


def test_only_frames_of_both_count(base, tmp_path):
    a = write_run(tmp_path / "a", base)
    b = write_run(tmp_path / "b", base[100:300] + 0.5, first=100)
    (found,) = compare(a, b, ["VIF"])
    assert found.frames == 200
    assert found.difference == pytest.approx(0.5)
    # A frame of which one has no value does not count either.
    holes = base.copy()
    holes[:50] = np.nan
    c = write_run(tmp_path / "c", holes)
    assert compare(a, c, ["VIF"])[0].frames == 350


def test_the_same_seed_gives_the_same_interval(base, tmp_path):
    a, b = write_run(tmp_path / "a", base), write_run(tmp_path / "b", base[::-1])
    assert compare(a, b, ["VIF"]) == compare(a, b, ["VIF"])


def test_the_command_compares_modes_of_different_names(base, tmp_path, capsys):
    a = write_run(tmp_path / "a", base)
    b = write_run(tmp_path / "b", base + 0.1, mode="caf=mine")
    words = ["compare", str(a), str(b / "summary.json"), "--scores", "VIF", "--modes", "caf:caf=mine"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "caf -> caf=mine" in text
    assert text.strip().endswith("better")
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"][0]["verdict"] == "better"


def test_evaluations_of_different_inputs_are_compared_with_a_note(base, tmp_path, capsys):
    a = write_run(tmp_path / "a", base[:5])
    same = write_run(tmp_path / "same", base[:5])
    other = write_run(tmp_path / "other", base[:5], source="pairs")
    assert main(["compare", str(a), str(same)]) == 0
    assert capsys.readouterr().err == ""
    assert main(["compare", str(a), str(other), "--json"]) == 0
    told = capsys.readouterr()
    assert "note: A is of drive.mcap, B of pairs" in told.err
    assert json.loads(told.out)["differences"][0]["verdict"] == "same"


def test_what_cannot_be_compared_ends_with_exit_code_two(base, tmp_path, capsys):
    a = write_run(tmp_path / "a", base[:5])
    other = write_run(tmp_path / "other", base[:5], profile="cddfuse")
    elsewhere = write_run(tmp_path / "elsewhere", base[:5], first=1000)
    named = write_run(tmp_path / "named", base[:5], mode="dfvo")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "summary.json").write_text("{}")
    cases = {
        "profile textbook": [str(a), str(other)],
        "no frame in common": [str(a), str(elsewhere)],
        "no mode in common": [str(a), str(named)],
        "not the summary.json": [str(a), str(broken)],
        "cannot be read": [str(a), str(tmp_path / "missing.json")],
        "'SHARP' is not one of": [str(a), str(a), "--scores", "SHARP"],
        "has no mode 'x'": [str(a), str(a), "--modes", "x"],
        "is not a list": [str(a), str(a), "--modes", "caf:"],
        "confidence": [str(a), str(a), "--confidence", "2"],
    }
    for expected, words in cases.items():
        assert main(["compare", *words]) == 2
        error = capsys.readouterr().err.strip()
        assert expected in error
        assert error.count("\n") == 0
