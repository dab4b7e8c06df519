"""Several recordings in one evaluation: a breakdown of each and the whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
from recordings import write_bag

from fusion_ros.cli import main
from fusion_ros.errors import InputError
from fusion_ros.evaluation import simulated_drives
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.frames_file import read_frames
from fusion_ros.evaluation.run import evaluate
from fusion_ros.evaluation.several_sources import named
from fusion_ros.evaluation.sources import open_source

GUIDED = EvaluationConfig(modes="guided")


def test_several_recordings_score_as_each_does_alone(tmp_path, loader):
    bags = [write_bag(tmp_path / name, frames=n, raw_counts=True) for name, n in (("city", 3), ("road", 5))]
    summary = evaluate(bags, tmp_path / "both", GUIDED, loader=loader)
    both = read_frames(tmp_path / "both" / "frames.csv")
    assert {name: facts["frames"] for name, facts in summary["recordings"].items()} == {"city": 3, "road": 5}
    assert summary["frames"] == 8
    for index, bag in enumerate(bags):
        alone = evaluate([bag], tmp_path / bag.name / "out", GUIDED, loader=loader)
        assert alone["recordings"] == {}
        own = read_frames(tmp_path / bag.name / "out" / "frames.csv")
        rows = slice(0, 3) if index == 0 else slice(3, 8)
        for mode in ("guided", "auto", "average"):
            # Times differ; gain control and flicker start anew with each recording.
            np.testing.assert_array_equal(both.values[mode][rows, :-1], own.values[mode][:, :-1])
        mean = summary["recordings"][bag.name]["modes"]["guided"]["mean"]["VIF"]
        assert mean == pytest.approx(own.column("guided", "VIF").mean(), rel=1e-12)
        assert [frame.recording for frame in both.frames[rows]] == [bag.name] * len(own.frames)
        assert [frame.key for frame in both.frames[rows]] == [f"{bag.name}/{frame.key}" for frame in own.frames]
    assert "By recording" in (tmp_path / "both" / "report.html").read_text()


def test_an_interrupted_run_over_several_ends_with_the_same_numbers(tmp_path, loader):
    bags = [write_bag(tmp_path / name, frames=4, raw_counts=True) for name in ("a", "b")]
    evaluate(bags, tmp_path / "whole", GUIDED, loader=loader)

    def interrupt(done, total):
        assert total == 8
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(bags, tmp_path / "parts", GUIDED, loader=loader, progress=interrupt)
    evaluate(bags, tmp_path / "parts", GUIDED, loader=loader, resume=True)
    whole, parts = (read_frames(tmp_path / name / "frames.csv") for name in ("whole", "parts"))
    assert parts.frames == whole.frames
    for mode in whole.modes:
        np.testing.assert_array_equal(parts.values[mode][:, :-1], whole.values[mode][:, :-1])


def test_pairs_and_recordings_go_together_and_one_that_is_spoilt_costs_only_itself(pairs_folder, tmp_path, loader):
    bag = write_bag(tmp_path / "bag", frames=3)
    other = write_bag(tmp_path / "other", frames=3, rgb_topic="/front/image")
    summary = evaluate([bag, other, pairs_folder], tmp_path / "out", GUIDED, loader=loader)
    assert list(summary["recordings"]) == ["bag", "pairs"]
    assert "other is left out" in summary["lost"][0]
    assert "no topic &#39;/rgb/image&#39;" in (tmp_path / "out" / "report.html").read_text()


def test_recordings_of_the_same_name_are_told_apart(tmp_path):
    paths = [tmp_path / "1" / "bag", tmp_path / "2" / "bag", tmp_path / "bag.mcap"]
    for path in paths[:2]:
        path.mkdir(parents=True)
    assert list(named(paths)) == ["bag", "bag (2)", "bag (3)"]


def test_inputs_that_do_not_go_together_are_refused(pairs_folder, tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", frames=3)
    late = [write_bag(tmp_path / name, frames=1, thermal_delay=50_000_000) for name in ("late", "later")]
    out = ["--out", str(tmp_path / "out"), "--modes", "guided"]
    cases = {
        "there is no such recording": [str(bag), str(tmp_path / "missing")],
        "no input can be evaluated": [str(path) for path in late],
        "a video goes with a video": [str(bag), "thermal.mp4"],
        "has no partner": [str(bag), str(pairs_folder), "thermal.mp4"],
        "inputs: give a recording": [],
    }
    for expected, words in cases.items():
        assert main(["evaluate", *words, *out]) == 2, expected
        error = capsys.readouterr().err.strip()
        assert expected in error
        assert error.count("\n") == 0
    with pytest.raises(InputError, match="is one video"):
        open_source([tmp_path / "rgb.mp4"], GUIDED)


def test_simulated_drives_of_several_seeds_are_recordings_too(tmp_path, monkeypatch, capsys):
    written = []

    def write(path, config):
        written.append(config.seed)
        return write_bag(path, frames=2)

    monkeypatch.setattr(simulated_drives, "write_simulated_drive", write)
    words = ["evaluate", "--seeds", "3,4", "--modes", "guided", "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert list(summary["recordings"]) == ["seed-3", "seed-4"]
    # Drives that are there are not made again.
    assert main([*words, "--resume"]) == 0
    assert written == [3, 4]
    assert main(["evaluate", "--seeds", "three", "--out", str(tmp_path / "out")]) == 2
    assert "--seeds 'three'" in capsys.readouterr().err
