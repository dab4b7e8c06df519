"""The fusion node on real DDS: what goes in, what comes out, and what it says of it."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from dds_bench import LATCHED, Cameras, rgb_image, send_until, thermal_image, wait_for
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Float32, Float32MultiArray, String

from fusion_ros.ros.filters import IS_LIBRARY_INSTALLED
from fusion_ros.ros.fusion_node import FusionNode
from fusion_ros.ros.images import header_of, stamp_of

# A machine that is busy must not make frames too old or cameras silent where a test is about something else.
CALM = {"mode": "average", "max_age": 60.0, "timeout": 60.0}


@pytest.fixture
def fusion(bench, cameras):
    """An active fusion node that averages, with both cameras connected."""
    node = bench.run(FusionNode, parameters=CALM)
    bench.wait_active(node)
    cameras.wait_connected()
    return node


def expected_average(rgb, thermal):
    """A grey image fused by averaging: the mean of both luminances (chroma is 0 for grey)."""
    return (rgb.astype(np.float64).mean(axis=2) + thermal) / 2


def test_pair_is_fused_under_the_rgb_header(bench, cameras, fusion):
    fused = bench.listen(Image, "fusion/image")
    skews = bench.listen(Float32, "fusion/debug/pair_skew_ms")
    wait_for(lambda: bench.client.count_publishers("/fusion/debug/pair_skew_ms"), "the skew topic")
    thermal = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    stamp = time.time_ns()

    def send():
        nonlocal stamp
        stamp = time.time_ns()
        cameras.send_rgb(stamp, value=100)
        cameras.send_thermal(stamp + 5_000_000, image=thermal)

    send_until(send, lambda: fused and skews, "a fused image", period=0.2)
    message = fused[-1]
    assert message.header.frame_id == "rgb_camera"
    assert stamp_of(message.header) <= stamp
    assert (message.width, message.height, message.encoding, message.step) == (64, 48, "bgr8", 192)
    image = np.frombuffer(message.data, np.uint8).reshape(48, 64, 3)
    # Colour goes through YCrCb in 8 bit: two grey levels of rounding.
    assert np.abs(image.mean(axis=2) - expected_average(rgb_image(100), thermal)).max() <= 2
    assert skews[-1].data == pytest.approx(5.0, abs=1e-3)


def test_exposure_is_labelled_and_mode_is_latched(bench, cameras, fusion):
    exposures = bench.listen(Float32MultiArray, "fusion/exposure")
    send_until(lambda: cameras.send_pair(value=255), lambda: exposures, "an exposure reading")
    assert exposures[0].layout.dim[0].label.split(",") == ["glare_fraction", "dark_fraction", "mean_luma"]
    # The right half of the picture is 255, the left half 127: half of it is over-exposed.
    glare, _dark, mean = exposures[0].data
    assert glare == pytest.approx(0.5, abs=0.02)
    assert mean == pytest.approx((255 + 127) / 2, abs=2)
    late = bench.listen(String, "fusion/mode", LATCHED)
    wait_for(lambda: late, "the latched mode")
    assert late[0].data == "average"


def test_camera_info_follows_the_fused_image(bench, cameras):
    node = bench.run(FusionNode, parameters={**CALM, "output_width": 32})
    bench.wait_active(node)
    cameras.wait_connected()
    publisher = bench.client.create_publisher(CameraInfo, "rgb/camera_info", 1)
    infos, fused = bench.listen(CameraInfo, "fusion/camera_info"), bench.listen(Image, "fusion/image")
    wait_for(publisher.get_subscription_count, "a subscriber of camera_info")
    sent = CameraInfo(width=64, height=48, k=[50.0, 0.0, 31.5, 0.0, 50.0, 23.5, 0.0, 0.0, 1.0])

    def send():
        publisher.publish(sent)
        cameras.send_pair()

    send_until(send, lambda: infos and fused, "camera_info")
    assert (infos[0].width, infos[0].height) == (fused[0].width, fused[0].height) == (32, 24)
    # Half the size: half the focal length; the centre of the image stays the principal point.
    assert infos[0].k[0] == pytest.approx(25.0)
    assert infos[0].k[2] == pytest.approx(15.5)
    assert stamp_of(infos[0].header) in [stamp_of(message.header) for message in fused]


def test_preview_and_overlay_come_while_subscribed(bench, cameras, fusion):
    previews = bench.listen(Image, "thermal/preview")
    overlays = bench.listen(Image, "fusion/debug/overlay")
    send_until(cameras.send_pair, lambda: previews and overlays, "preview and overlay")
    assert previews[0].encoding == "mono8"
    assert overlays[0].encoding == "bgr8"


@pytest.mark.parametrize("reliability", [QoSReliabilityPolicy.BEST_EFFORT, QoSReliabilityPolicy.RELIABLE])
def test_either_kind_of_publisher_is_heard(bench, fusion, reliability):
    both = Cameras(bench, QoSProfile(depth=5, reliability=reliability))
    fused = bench.listen(Image, "fusion/image")
    send_until(both.send_pair, lambda: fused, f"a fused image from a {reliability.name} publisher")


def test_compressed_images_are_fused(bench):
    node = bench.run(FusionNode, parameters={**CALM, "rgb_transport": "compressed", "thermal_transport": "compressed"})
    bench.wait_active(node)
    compressed = Cameras(bench, message_type=CompressedImage, suffix="/compressed")
    compressed.wait_connected()
    fused = bench.listen(Image, "fusion/image")
    count = 0

    def send():
        nonlocal count
        count += 1
        header = header_of(time.time_ns(), "camera")
        rgb = cv2.imencode(".jpg", rgb_image())[1].tobytes()
        thermal = cv2.imencode(".png", thermal_image(count))[1].tobytes()
        compressed.rgb.publish(CompressedImage(header=header, format="jpeg", data=rgb))
        compressed.thermal.publish(CompressedImage(header=header, format="png", data=thermal))

    send_until(send, lambda: fused, "a fused image")
    header = header_of(time.time_ns(), "camera")
    compressed.rgb.publish(CompressedImage(header=header, format="jpeg", data=b"not a jpeg"))
    compressed.thermal.publish(CompressedImage(header=header, format="png", data=b""))
    bench.wait_value("dropped.bad_input", "2")
    seen = len(fused)
    send_until(send, lambda: len(fused) > seen, "the next fused image")


@pytest.mark.skipif(not IS_LIBRARY_INSTALLED, reason="message_filters is not installed")
@pytest.mark.parametrize("policy", ["approximate", "exact"])
def test_message_filters_own_policies_pair_as_well(bench, cameras, policy):
    node = bench.run(FusionNode, parameters={**CALM, "sync.policy": policy})
    bench.wait_active(node)
    cameras.wait_connected()
    fused = bench.listen(Image, "fusion/image")
    send_until(cameras.send_pair, lambda: len(fused) > 5, "fused images")


def test_mode_switches_during_a_stream_without_losing_a_pair(bench, cameras, fusion, modes):
    fused = bench.listen(Image, "fusion/image", QoSProfile(depth=200))
    wait_for(lambda: bench.client.count_publishers("/fusion/image"), "the fused topic")
    send_until(cameras.send_pair, lambda: fused, "the first fused image")
    time.sleep(0.3)
    fused.clear()
    stamps = []
    order = ("rgb", "thermal", "guided", "average")
    for index in range(24):
        if index % 6 == 3:
            assert bench.set_parameter("fusion", mode=order[index // 6]).successful
        stamps.append(cameras.send_pair())
        # One at a time: the slot of one would otherwise drop pairs on a busy machine, which is another matter.
        wait_for(lambda: fused and stamp_of(fused[-1].header) == stamps[-1], f"pair {index}")
    assert [stamp_of(message.header) for message in fused] == stamps
    wait_for(lambda: len(modes) >= 5, "all modes")
    assert modes == ["average", *order]


def test_next_pair_after_a_switch_is_fused_in_the_new_mode(bench, cameras, fusion):
    fused = bench.listen(Image, "fusion/image")
    send_until(cameras.send_pair, lambda: fused, "a fused image")
    time.sleep(0.3)
    fused.clear()
    assert bench.set_parameter("fusion", mode="rgb", mode_fade=0.0).successful
    stamp = cameras.send_pair(value=200)
    wait_for(lambda: fused, "the next fused image")
    assert stamp_of(fused[0].header) == stamp
    assert np.array_equal(np.frombuffer(fused[0].data, np.uint8).reshape(48, 64, 3), rgb_image(200))


def test_the_picture_of_the_mode_before_fades_out_by_the_stamps(bench, cameras, fusion, modes):
    fused = bench.listen(Image, "fusion/image", QoSProfile(depth=50))
    send_until(cameras.send_pair, lambda: fused, "a fused image")
    assert bench.set_parameter("fusion", mode="rgb", mode_fade=0.0).successful
    # Stamps of its own, for the test's clock is not the cameras'. The clock has to be near, or they are too old.
    start = time.time_ns()
    levels = []
    for index in range(6):
        if index == 1:
            assert bench.set_parameter("fusion", mode="thermal", mode_fade=0.4).successful
        stamp = start + index * 100_000_000
        cameras.send_rgb(stamp, value=200)
        # 8-bit thermal images go through as they are; one pixel moves, or the sensor would count as frozen.
        thermal = np.zeros((48, 64), np.uint8)
        thermal[0, index] = 255
        cameras.send_thermal(stamp, image=thermal)
        wait_for(lambda stamp=stamp: fused and stamp_of(fused[-1].header) == stamp, f"pair {index}")
        levels.append(int(np.frombuffer(fused[-1].data, np.uint8).reshape(48, 64, 3)[-1, -1, 0]))
    # From 200 to 0 in 0.4 s: a quarter every 0.1 s, beginning with the first pair of the new mode.
    assert levels == [200, 150, 100, 50, 0, 0]
    assert modes[-1] == "thermal"


def test_two_listeners_in_process_get_the_frame_that_is_published(bench, cameras, fusion):
    heard, fused = [], bench.listen(Image, "fusion/image")
    fusion.fused_listeners.append(lambda image, header: heard.append((image, header)))
    send_until(cameras.send_pair, lambda: heard and fused, "a fused image")
    image, header = heard[0]
    message = next(found for found in fused if stamp_of(found.header) >= stamp_of(header))
    assert message.header == header
    assert np.array_equal(np.frombuffer(message.data, np.uint8).reshape(48, 64, 3), image)
