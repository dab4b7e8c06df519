"""Detection, segmentation, and all three nodes in one process, on real DDS with the shipped models."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from dds_bench import LATCHED, Cameras, send_until, wait_for
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from fusion_ros.errors import InputError
from fusion_ros.perception.detector import Detector
from fusion_ros.ros.detection_node import DetectionNode, detections_message
from fusion_ros.ros.graph import command, fusion_pipeline
from fusion_ros.ros.images import header_of, image_message, stamp_of
from fusion_ros.ros.segmentation_node import SegmentationNode
from fusion_ros.types import Detections

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def detector():
    """The shipped detector; skips where none is shipped."""
    try:
        return Detector()
    except InputError as error:
        pytest.skip(f"no detector: {error}")


@pytest.fixture(scope="session")
def street():
    """A wide picture with something like a car in it: not square, so that swapped axes would show."""
    picture = np.full((240, 426, 3), 90, np.uint8)
    picture[120:] = (70, 70, 70)
    cv2.rectangle(picture, (230, 110), (330, 170), (40, 40, 160), cv2.FILLED)
    cv2.rectangle(picture, (250, 90), (310, 112), (30, 30, 30), cv2.FILLED)
    for x in (250, 310):
        cv2.circle(picture, (x, 170), 14, (10, 10, 10), cv2.FILLED)
    return picture


def test_boxes_are_centre_and_size_in_pixels_with_the_images_header():
    found = Detections(
        xyxy=np.array([[10, 20, 50, 40]], np.float32),
        confidence=np.array([0.75], np.float32),
        class_id=np.array([2]),
        class_names={2: "car"},
    )
    header = header_of(5, "camera")
    message = detections_message(found, header)
    (box,) = message.detections
    assert (box.bbox.center.position.x, box.bbox.center.position.y) == (30.0, 30.0)
    assert (box.bbox.size_x, box.bbox.size_y) == (40.0, 20.0)
    assert message.header == box.header == header
    assert (box.results[0].hypothesis.class_id, box.results[0].hypothesis.score) == ("2", 0.75)


def test_detection_node_publishes_what_the_detector_finds(bench, detector, street):
    node = bench.run(DetectionNode, parameters={"max_age": 60.0, "confidence": 0.01})
    images = bench.client.create_publisher(Image, "image", 1)
    found, drawn = bench.listen(Detection2DArray, "detections"), bench.listen(Image, "detections/image")
    labels = bench.listen(LabelInfo, "detection/label_info", LATCHED)
    bench.wait_active(node)
    wait_for(images.get_subscription_count, "the node")

    def send():
        images.publish(image_message(street, header_of(time.time_ns(), "fused")))

    send_until(send, lambda: found and drawn, "detections", 0.3)
    names = {entry.class_id: entry.class_name for entry in wait_for(lambda: labels, "label_info")[0].class_map}
    assert names == dict(detector.class_names)
    assert (drawn[0].width, drawn[0].height) == (426, 240)
    assert found[0].header.frame_id == "fused"
    for box in found[0].detections:
        assert int(box.results[0].hypothesis.class_id) in names
        assert 0 <= box.bbox.center.position.x <= 426
        assert 0 <= box.bbox.center.position.y <= 240

    refused = bench.set_parameter("detection", classes="unicorn")
    assert not refused.successful
    assert "unicorn" in refused.reason
    assert bench.set_parameter("detection", confidence=1.0).successful
    send_until(send, lambda: not found[-1].detections, "no box of confidence 1", 0.3)
    for moved_ms in (0, -20, 5, -10):
        wait_for(lambda: not node.is_working, "the image in work")
        before = len(found)
        images.publish(image_message(street, header_of(time.time_ns() + moved_ms * 1_000_000, "fused")))
        wait_for(lambda: len(found) > before, "its detections")  # noqa: B023
    assert bench.values("detection")["time_jumps"] == "0"
    images.publish(image_message(street, header_of(time.time_ns() - 10_000_000_000, "fused")))
    bench.wait_value("time_jumps", "1", "detection")
    images.publish(Image(header=Header(), encoding="rgb16", width=2, height=2, step=12, data=bytes(24)))
    bench.wait_value("dropped.bad_input", "1", "detection")


def test_segmentation_node_publishes_a_mask_of_the_images_size(bench, detector, street):
    node = bench.run(SegmentationNode, parameters={"max_age": 60.0})
    images = bench.client.create_publisher(Image, "image", 1)
    masks = bench.listen(Image, "segmentation/mask")
    drawn = bench.listen(Image, "segmentation/image")
    labels = bench.listen(LabelInfo, "segmentation/label_info", LATCHED)
    wait_for(lambda: node.is_active or bench.level("segmentation") == 2, "the node")
    if not node.is_active:
        pytest.skip(f"no segmenter: {bench.diagnostics['segmentation'].message}")

    def send():
        images.publish(image_message(street, header_of(time.time_ns(), "fused")))

    send_until(send, lambda: masks and drawn, "a mask", 0.3)
    assert (masks[0].width, masks[0].height, masks[0].encoding) == (426, 240, "mono8")
    known = {entry.class_id for entry in wait_for(lambda: labels, "label_info")[0].class_map}
    assert set(np.frombuffer(masks[0].data, np.uint8).tolist()) <= known
    assert drawn[0].header.frame_id == masks[0].header.frame_id == "fused"


def test_missing_detector_weights_are_said_and_cured(bench, detector):
    node = bench.run(DetectionNode, parameters={"weights": "/no/such/file.onnx"})
    bench.wait_status(2, "/no/such/file.onnx", "detection")
    assert bench.set_parameter("detection", weights="").successful
    node.spinner.call(node.trigger_configure)
    node.spinner.call(node.trigger_activate)
    assert node.is_active


def test_three_nodes_in_one_process_with_namespace_remaps_and_parameter_file(bench, detector, tmp_path):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(
        "/**/fusion:\n  ros__parameters:\n    mode: average\n    max_age: 60.0\n    timeout: 60.0\n"
        "/**/detection:\n  ros__parameters:\n    max_age: 60.0\n    max_detections: 3\n",
        encoding="utf-8",
    )
    (spec,) = fusion_pipeline(
        composed=True,
        segmentation=False,
        namespace="car",
        rgb_topic="/front/rgb/image",
        thermal_topic="/front/thermal/image",
        params_file=str(parameters),
        # Fusion's alone: the detector's .onnx file could not be run by it.
        backend="torch",
    )
    running = subprocess.Popen(
        command(spec),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    try:
        cameras = Cameras(bench, namespace="/front/")
        fused = bench.listen(Image, "/car/fusion/image")
        found = bench.listen(Detection2DArray, "/car/detections")

        def seen_by_both():
            stamps = {stamp_of(message.header) for message in list(fused)}
            return [message for message in list(found) if stamp_of(message.header) in stamps]

        send_until(lambda: cameras.send_pair(size=(96, 64)), seen_by_both, "fused images and detections", 0.1, 60.0)
        bench.wait_value("mode", "average", "car/fusion")
        # In one process the images do not go through DDS: the detection node has not subscribed to them.
        subscribers = [info.node_name for info in bench.client.get_subscriptions_info_by_topic("/car/fusion/image")]
        assert subscribers == ["bench"]
        assert bench.client.count_subscribers("/front/rgb/image") == 1
    finally:
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=20)
    assert running.returncode == 0, output
    assert "Traceback" not in output


def test_executables_say_what_they_do():
    for name in ("pipeline_node",):
        text = subprocess.check_output(
            [sys.executable, "-m", f"fusion_ros.ros.{name}", "--help"], text=True, cwd=REPOSITORY
        )
        assert "--nodes" in text
