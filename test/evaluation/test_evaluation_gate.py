"""Limits for a vehicle team's CI."""

from __future__ import annotations

import pytest
import yaml

from fusion_ros.cli import main
from fusion_ros.errors import InputError
from fusion_ros.evaluation.gate import check, read_gate

SUMMARY = {
    "frames": 10,
    "modes": {
        "auto": {
            "spread": {"VIF": {"mean": 0.8, "p5": 0.5, "median": 0.81, "p95": 1.0}},
            "conditions": {"glare": {"mean": {"VIF": 0.6}}},
            "stood_in": {"no weights": 3},
        }
    },
    "perception": {"modes": {"auto": {"all": {"mAP50": 0.4}, "dark": {"mAP50": 0.2}}}},
}


@pytest.fixture
def gate(tmp_path):
    def write(*limits):
        path = tmp_path / "gate.yaml"
        path.write_text(yaml.safe_dump({"limits": limits}))
        return path

    return write


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        ({"score": "VIF", "min": 0.8}, True),
        ({"score": "VIF", "min": 0.81}, False),
        ({"score": "VIF", "min": 0.1, "max": 0.7}, False),
        ({"score": "VIF", "min": 0.5, "statistic": "p5"}, True),
        ({"score": "VIF", "min": 0.7, "condition": "glare"}, False),
        ({"score": "VIF", "min": 0.0, "condition": "dark"}, False),  # nothing was measured there
        ({"score": "mAP50", "min": 0.4}, True),
        ({"score": "mAP50", "min": 0.3, "condition": "dark"}, False),
        ({"score": "AP50 car", "min": 0.0}, False),
        ({"score": "stood_in", "max": 0.3}, True),
        ({"score": "stood_in", "max": 0.2}, False),
    ],
)
def test_a_limit_is_kept_or_not(gate, limit, kept):
    (verdict,) = check(read_gate(gate({"mode": "auto", **limit}), ["auto"]), SUMMARY)
    assert verdict.kept is kept


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"mode": "auto"}, "needs mode and score"),
        ({"mode": "auto", "score": "VIF"}, "needs min or max"),
        ({"mode": "best", "score": "VIF", "min": 1}, "mode 'best' is not evaluated"),
        ({"mode": "auto", "score": "beauty", "min": 1}, "score 'beauty' is not one of"),
        ({"mode": "auto", "score": "VIF", "min": "much"}, "min 'much' is not a number"),
        ({"mode": "auto", "score": "VIF", "min": float("nan")}, "min nan is not a number"),
        ({"mode": "auto", "score": "VIF", "minimum": 1}, "'minimum' is none of"),
        ({"mode": "auto", "score": "VIF", "min": 1, "condition": "fog"}, "condition 'fog' is not one of"),
        ({"mode": "auto", "score": "VIF", "min": 1, "condition": "dark", "statistic": "p5"}, "cannot be had"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(gate, limit, reason):
    with pytest.raises(InputError, match=reason):
        read_gate(gate(limit), ["auto"])


def test_the_command_ends_with_one_where_a_limit_is_broken(gate, pairs_folder, tmp_path, capsys):
    words = ["evaluate", str(pairs_folder), "--out", str(tmp_path / "out"), "--modes", "guided", "--stride", "4"]
    path = gate({"mode": "guided", "score": "EN", "min": 1.0}, {"mode": "rgb", "score": "MSE", "max": 0.1})
    assert main([*words, "--gate", str(path)]) == 1
    error = capsys.readouterr().err
    assert "1 of 2 limits are not kept: rgb: mean MSE at most 0.1" in error
    assert "NOT KEPT" in (tmp_path / "out" / "report.html").read_text()
    path = gate({"mode": "guided", "score": "EN", "min": 1.0})
    assert main([*words, "--gate", str(path), "--resume"]) == 0
    kept = capsys.readouterr()
    assert "gate: all 1 limits are kept" in kept.out
    # Without a terminal there is no progress, and nothing else where nothing is to be told.
    assert "" not in kept.err.splitlines()
    assert main([*words, "--gate", str(path), "--resume", "--json"]) == 0
    assert "are kept" not in capsys.readouterr().out
    path.write_text("limits: [")
    assert main([*words, "--gate", str(path)]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("score", ["mAP50", "AP50 person", "mIoU"])
def test_a_limit_on_a_score_of_labels_is_refused_before_the_run_where_there_are_none(
    gate, pairs_folder, tmp_path, capsys, score
):
    path = gate({"mode": "guided", "score": score, "min": 0.1})
    out = tmp_path / "out"
    assert main(["evaluate", str(pairs_folder), "--out", str(out), "--modes", "guided", "--gate", str(path)]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert f"{score} needs --labels" in error
    assert not out.exists()


def test_help_says_of_what_kind_a_value_is(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    text = capsys.readouterr().out
    assert "--thermal-topic STR" in text
    assert "--slop FLOAT" in text
    assert "--stride INT" in text
