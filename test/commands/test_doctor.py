"""`fusion-ros doctor` tells the truth: what fails is shown as failed, with a cure, and decides the exit code."""

import hashlib
import importlib.util
import json

import pytest

from fusion_ros import cli
from fusion_ros.commands import doctor

needs_rclpy = pytest.mark.skipif(importlib.util.find_spec("rclpy") is None, reason="rclpy is not installed")
CONTENT = b"weights"


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A models folder with one sound entry for each task."""
    entries = []
    for task in ("fusion", "detection", "segmentation"):
        (tmp_path / f"{task}.onnx").write_bytes(CONTENT)
        checksum = hashlib.sha256(CONTENT).hexdigest()
        entries.append(f"  my_{task}: {{task: {task}, files: {{{task}.onnx: {checksum}}}}}\n")
    (tmp_path / "manifest.yaml").write_text("models:\n" + "".join(entries))
    monkeypatch.setenv("FUSION_ROS_MODELS", str(tmp_path))
    return tmp_path


def states(checks):
    return {check.name: check.state for check in checks}


def test_sound_models_are_ok(models):
    assert set(states(doctor.check_models()).values()) == {doctor.OK}


def test_a_changed_model_is_broken_and_says_how_to_get_it_back(models):
    (models / "detection.onnx").write_bytes(b"other")
    checks = {check.name: check for check in doctor.check_models()}
    broken = checks["detection: my_detection"]
    assert (broken.state, broken.passed) == (doctor.BROKEN, False)
    assert "sha256" in broken.detail
    assert broken.cure
    assert checks["fusion: my_fusion"].passed


def test_a_task_without_a_model_is_missing(models):
    manifest = models / "manifest.yaml"
    lines = [line for line in manifest.read_text().splitlines() if "segmentation" not in line]
    manifest.write_text("\n".join(lines))
    assert states(doctor.check_models())["segmentation"] == doctor.MISSING


def test_a_models_folder_without_manifest_is_one_line_of_the_report(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSION_ROS_MODELS", str(tmp_path))
    (check,) = doctor.check_models()
    assert (check.state, check.passed) == (doctor.MISSING, False)


def test_a_package_that_is_not_installed_is_missing_with_its_cure(monkeypatch):
    packages = (
        ("no_such_package", ("no-such-package",), True, ""),
        ("no_such_extra", ("no-such-extra",), False, "something nice"),
        ("json", ("no-distribution",), True, "in the standard library"),
    )
    monkeypatch.setattr(doctor, "PACKAGES", packages)
    needed, extra, present = doctor.check_packages()
    assert (needed.state, needed.passed) == (doctor.MISSING, False)
    assert "pip install no-such-package" in needed.cure
    assert (extra.state, extra.passed) == (doctor.ABSENT, True)
    assert (present.state, present.detail) == (doctor.OK, "in the standard library")


def test_a_backend_whose_library_fails_is_broken_and_does_not_end_the_report():
    def fails():
        yield doctor.Check("backends", "first half", doctor.OK)
        raise OSError("libcudart.so.99: cannot open shared object file\nmore")

    first, second = doctor.tried("my backend", fails)
    assert first.state == doctor.OK
    assert second.state == doctor.BROKEN
    assert second.detail == "OSError: libcudart.so.99: cannot open shared object file"


def test_the_onnx_runtime_check_runs_a_model_and_refuses_a_provider_that_is_not_there():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    doctor.run_identity("CPUExecutionProvider")
    with pytest.raises((RuntimeError, ValueError), match="NoSuchProvider"):
        doctor.run_identity("NoSuchProvider")


@needs_rclpy
def test_a_message_goes_through_the_middleware():
    check = doctor.check_middleware()
    assert check.state == doctor.OK, check.detail
    assert "rmw_" in check.detail


@needs_rclpy
def test_a_middleware_that_cannot_be_loaded_is_broken_with_its_error(monkeypatch):
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_of_nobody")
    check = doctor.check_middleware()
    assert (check.state, check.passed) == (doctor.BROKEN, False)
    assert check.detail


@pytest.mark.parametrize(
    ("checks", "exit_code"),
    [
        ([doctor.Check("a", "needed", doctor.OK, required=True), doctor.Check("a", "extra", doctor.ABSENT)], 0),
        ([doctor.Check("a", "needed", doctor.BROKEN, "boom", required=True, cure="repair it")], 1),
        ([doctor.Check("a", "extra", doctor.BROKEN, cure="repair it")], 0),
    ],
)
def test_exit_code_and_json_tell_whether_the_pipeline_can_run(checks, exit_code, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: iter(checks))
    assert cli.main(["doctor", "--json"]) == exit_code
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is (exit_code == 0)
    assert [check["name"] for check in report["checks"]] == [check.name for check in checks]


def test_the_table_shows_cures_for_what_failed(monkeypatch, capsys):
    broken = doctor.Check("ROS", "rclpy", doctor.MISSING, required=True, cure="source a ROS 2 [any]")
    monkeypatch.setattr(doctor, "examine", lambda: iter([broken]))
    assert cli.main(["doctor"]) == 1
    output = capsys.readouterr().out
    assert "needed: rclpy: source a ROS 2 [any]" in output
    assert "cannot run" in output
