"""The real demo: bag, player, nodes and subscriber over DDS, with everything it writes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import av
import cv2
import pytest

from fusion_ros.fusion.weights import models_directory

DEMO = [sys.executable, "-m", "fusion_ros.cli", "demo"]
MARK = "FUSION_ROS_DEMO_TEST"
LIMIT = 240


def environment(**extra):
    """A domain of the demo's own choice."""
    kept = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
    return {**kept, "OMP_NUM_THREADS": "1", **extra}


def left_over(mark):
    """Processes that carry `mark` in their environment and are not zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The quickest mode on a short drive: folder, finished process, summary."""
    out = tmp_path_factory.mktemp("demo") / "out"
    mark = uuid.uuid4().hex
    command = [*DEMO, "--mode", "guided", "--frames", "20", "--out", str(out), "--json", "--keep-bag"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT, env=environment(**{MARK: mark}), check=False
    )
    assert done.returncode == 0, done.stderr
    assert left_over(mark) == []
    return out, done, json.loads(done.stdout)


@pytest.mark.timeout(LIMIT)
def test_every_stage_delivers(demo):
    _, _, summary = demo
    # The least that a short drive gives; the exact number depends on how the cameras' frames fall.
    assert summary["fused"] >= 10
    assert summary["detected_frames"] >= 1
    assert summary["segmented_frames"] >= 1
    assert set(summary["modes"]) <= {"guided", "rgb", "thermal"}
    assert summary["latency_ms"]["mean"] > 0
    assert {"fusion", "detection", "segmentation"} <= set(summary["processing_ms"])
    # Images were looked at by a subscriber of its own, so what the nodes claim is what arrived.
    assert len(list((demo[0] / "fused").iterdir())) == summary["fused"]


@pytest.mark.timeout(LIMIT)
def test_fused_images_have_the_size_of_the_rgb_camera_and_are_not_empty(demo):
    out, _, _ = demo
    images = [cv2.imread(str(path)) for path in sorted((out / "fused").iterdir())]
    assert {image.shape for image in images} == {(240, 320, 3)}
    assert all(image.std() > 1 for image in images)


@pytest.mark.timeout(LIMIT)
def test_video_has_a_frame_for_every_fused_image(demo):
    out, _, summary = demo
    with av.open(str(out / "demo.mp4")) as container:
        frames = list(container.decode(video=0))
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert len(frames) == summary["fused"]
    # Three panels of 320 with two gaps of 4; 240 with a strip of 26 above and below.
    assert (frames[0].width, frames[0].height) == (968, 292)


@pytest.mark.timeout(LIMIT)
def test_detections_name_their_images(demo):
    out, _, summary = demo
    body = json.loads((out / "detections.json").read_text())
    assert [image["file_name"] for image in body["images"]] == sorted(
        f"fused/{path.name}" for path in (out / "fused").iterdir()
    )
    assert len(body["annotations"]) == summary["boxes"]
    assert sum(image["searched"] for image in body["images"]) == summary["detected_frames"]
    assert body["categories"]


@pytest.mark.timeout(LIMIT)
def test_report_is_one_file_that_fetches_nothing(demo):
    out, _, summary = demo
    html = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", html)
    assert "data:image/jpeg;base64," in html
    assert "A simulated drive" in html
    assert len(html) < 8e6
    assert json.loads((out / "summary.json").read_text())["fused"] == summary["fused"]


@pytest.mark.timeout(LIMIT)
def test_processes_end_cleanly_and_leave_their_logs(demo):
    out, _, summary = demo
    assert not [shortfall for shortfall in summary["shortfalls"] if "exit code" in shortfall]
    assert {path.name for path in (out / "logs").iterdir()} == {
        "fusion.log",
        "detection.log",
        "segmentation.log",
        "player.log",
    }
    assert "Traceback" not in "".join(path.read_text() for path in (out / "logs").iterdir())


@pytest.mark.timeout(LIMIT)
def test_a_node_that_cannot_be_configured_is_named(tmp_path):
    mark = uuid.uuid4().hex
    models = tmp_path / "models"
    shutil.copytree(models_directory(), models)
    (models / "detector.onnx").unlink()
    command = [*DEMO, "--mode", "guided", "--frames", "5", "--out", str(tmp_path / "out")]
    surroundings = environment(FUSION_ROS_MODELS=str(models), **{MARK: mark})
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=surroundings, check=False)
    assert done.returncode == 1
    assert "fusion-ros demo: detection: could not configure" in done.stderr
    assert "logs/detection.log" in done.stderr
    assert "Traceback" not in done.stderr
    assert left_over(mark) == []


@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_takes_every_process_down(tmp_path, number):
    mark = uuid.uuid4().hex
    command = [*DEMO, "--mode", "guided", "--frames", "20", "--rate", "0.05", "--out", str(tmp_path / "out"), "--json"]
    running = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(**{MARK: mark})
    )
    try:
        deadline = time.monotonic() + LIMIT / 2
        while not (tmp_path / "out/logs/player.log").exists() and running.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        running.send_signal(number)
        _, error = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 130
    assert "interrupted" in error
    assert "Traceback" not in error
    assert left_over(mark) == []
