"""Bad input of every kind: one clear error or refused parameter, the node lives on, and diagnostics show it."""

from __future__ import annotations

import array
import time

import numpy as np
import pytest
from dds_bench import rgb_image, send_until, thermal_image, wait_for
from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from fusion_ros.ros.fusion_node import FusionNode
from fusion_ros.ros.images import header_of, image_message, stamp_of

CALM = {"mode": "average", "max_age": 60.0, "timeout": 60.0}
OK, WARN, ERROR = 0, 1, 2


@pytest.fixture
def fusion(bench, cameras):
    node = bench.run(FusionNode, parameters=CALM)
    bench.wait_active(node)
    cameras.wait_connected()
    return node


@pytest.fixture
def fused(bench):
    """The fused images that have been heard."""
    return bench.listen(Image, "fusion/image", QoSProfile(depth=200))


def assert_lives(cameras, fused):
    """A good pair still gets through."""
    before = len(fused)
    send_until(cameras.send_pair, lambda: len(fused) > before, "the next fused image")


def image(encoding="mono8", width=8, height=4, step=8, size=32):
    message = Image(
        header=header_of(time.time_ns(), "camera"), encoding=encoding, width=width, height=height, step=step
    )
    message.data = array.array("B", bytes(size))
    return message


@pytest.mark.parametrize(
    ("sensor", "message", "complaint"),
    [
        ("thermal", image(encoding="rgb16"), "encoding 'rgb16' is not supported (mono8, mono16, 16UC1, 32FC1)"),
        ("rgb", image(encoding="no such thing"), "encoding 'no such thing' is not supported"),
        ("rgb", image(width=0, height=0, step=0, size=0), "size 0x0"),
        ("thermal", image(width=0, step=0), "size 0x4"),
        ("rgb", image(encoding="bgr8"), "step 8"),
        ("thermal", image(encoding="16UC1"), "step 8"),
        ("thermal", image(size=31), "31 bytes"),
    ],
    ids=["encoding", "unknown", "zero-size", "zero-width", "rgb-step", "thermal-step", "short"],
)
def test_unusable_image_is_named_and_dropped(bench, cameras, fusion, fused, sensor, message, complaint):
    getattr(cameras, sensor).publish(message)
    bench.wait_value("dropped.bad_input", "1")
    bench.wait_status(WARN, "bad input")
    complaints = bench.wait_log(complaint)
    assert len(complaints) == 1
    assert complaints[0].startswith(f"/{sensor}/image: ")
    assert_lives(cameras, fused)
    bench.wait_status(OK, "OK")


@pytest.mark.parametrize("kind", ["encoding", "size"])
def test_a_stream_of_bad_images_is_logged_once(bench, cameras, fusion, fused, kind):
    for index in range(20):
        cameras.thermal.publish(image(encoding="rgb16") if kind == "encoding" else image(size=index))
        time.sleep(0.01)
    wait_for(lambda: int(bench.values().get("dropped.bad_input", 0)) >= 15, "the bad images")
    assert len(bench.wait_log("/thermal/image: ")) == 1


def test_size_change_in_mid_stream_is_followed(bench, cameras, fusion, fused):
    send_until(cameras.send_pair, lambda: fused, "a fused image")
    stamps = {}
    for size in ((80, 60), (33, 17), (64, 48)):
        fused.clear()
        send_until(
            lambda: stamps.update({cameras.send_pair(size=size): size}),  # noqa: B023
            lambda: fused and (fused[-1].width, fused[-1].height) == size,  # noqa: B023
            f"a fused image of {size}",
        )
    assert bench.values().get("errors", "0") == "0"


def test_nan_in_a_thermal_image_is_left_out_and_nothing_but_nan_is_refused(bench, cameras, fusion, fused):
    degrees = np.linspace(10, 30, 64 * 48, dtype=np.float32).reshape(48, 64)
    holed = degrees.copy()
    holed[:5, :5] = np.nan

    def send(thermal):
        stamp = time.time_ns()
        cameras.send_rgb(stamp)
        cameras.send_thermal(stamp, image=thermal)

    assert bench.set_parameter("fusion", mode="thermal").successful
    rng = np.random.default_rng(0)
    send_until(lambda: send(holed + rng.random((48, 64), np.float32) * 0.01), lambda: fused, "a fused image")
    grey = np.frombuffer(fused[-1].data, np.uint8).reshape(48, 64, 3)
    # NaN is black, and the warm end of the ramp is white all the same.
    assert grey[:5, :5].max() == 0
    assert grey[-1, -1].min() >= 250
    send_until(lambda: send(np.full((48, 64), np.nan, np.float32)), lambda: bench.values().get("mode") == "rgb", "rgb")
    bench.wait_status(WARN, "thermal")
    assert_lives(cameras, fused)
    bench.wait_value("mode", "thermal")


def test_stamps_that_go_back_start_anew_and_are_counted_once(bench, cameras, fusion, fused):
    start = time.time_ns()
    first_pass = [start + index * 50_000_000 for index in range(10)]
    for _ in range(2):
        for stamp in first_pass:
            fused_before = len(fused)
            cameras.send_pair(stamp)
            wait_for(lambda: len(fused) > fused_before, "a fused image", 5.0)  # noqa: B023
    assert [stamp_of(message.header) for message in fused] == first_pass * 2
    bench.wait_value("time_jumps", "1")


def test_unknown_mode_and_values_out_of_range_are_refused_with_a_reason(bench, cameras, fusion, fused):
    for name, value, reason in (
        ("mode", "no such mode", "epofusion, dfvo, caf"),
        ("mode", 3, "type"),
        ("sync__slop", -0.1, "sync.slop"),
        ("max_age", float("nan"), "max_age"),
        ("selector__glare_exit", 0.9, "glare_enter"),
        ("thermal__agc", "histogram", "percentile"),
        ("on_missing", "panic", "passthrough"),
        ("registration__homography", [0.0] * 9, "no inverse"),
        ("registration__homography", [1.0, 0.0], "9 finite numbers"),
        ("backend", "torch", "clean up"),
        ("output_width", 32, "clean up"),
    ):
        result = bench.set_parameter("fusion", **{name: value})
        assert not result.successful, name
        assert reason in result.reason, result.reason
    assert_lives(cameras, fused)
    bench.wait_value("mode", "average")


def test_parameters_refused_together_leave_the_ones_before_them_alone(bench, fusion):
    for values in ({"mode": "rgb", "max_age": -1.0}, {"max_age": 2.0, "mode": "no such mode"}):
        bench.set_parameter("fusion", **values)
    # Set one by one (not atomically), the good one of each pair is taken and the bad one is not.
    assert fusion.get_parameter("mode").value == "rgb"
    assert fusion.get_parameter("max_age").value == 2.0


@pytest.mark.parametrize(
    ("overrides", "complaint", "cure"),
    [
        ({"mode": "no such mode"}, "mode: 'no such mode'", {"mode": "average"}),
        ({"sync.slop": -1.0}, "sync.slop: -1.0", {"sync__slop": 0.03}),
        ({"sync.slop": "wide"}, "sync.slop: 'wide'", {"sync__slop": 0.03}),
        ({"thermal.low": 99.5}, "low", {"thermal__low": 1.0}),
        ({"models.caf": "/no/such/file.safetensors"}, "/no/such/file.safetensors", {"models__caf": ""}),
        ({"device": "abacus"}, "abacus", {"device": "cpu"}),
        ({"sync.policy": "exact"}, "message_filters", {"sync__policy": "nearest"}),
    ],
    ids=["mode", "slop", "type", "together", "weights", "device", "policy"],
)
def test_bad_value_at_start_keeps_the_node_unconfigured_until_it_is_cured(
    bench, cameras, fused, overrides, complaint, cure
):
    from fusion_ros.ros.filters import IS_LIBRARY_INSTALLED

    if "sync.policy" in overrides and IS_LIBRARY_INSTALLED:
        pytest.skip("message_filters is installed, so that its policies are allowed")
    if "device" in overrides:
        from fusion_ros.fusion import is_available

        if not is_available("caf"):
            pytest.skip("no network is shipped that could ask for a device")
    loader = {} if "device" not in overrides else {"model_loader": None}
    node = bench.run(FusionNode, parameters={**CALM, **overrides}, **loader)
    bench.wait_status(ERROR, complaint)
    assert not node.is_active
    assert "could not configure" in bench.wait_log(complaint)[0]
    assert bench.set_parameter("fusion", **cure).successful
    assert node.spinner.call(node.trigger_configure) == TransitionCallbackReturn.SUCCESS
    assert node.spinner.call(node.trigger_activate) == TransitionCallbackReturn.SUCCESS
    assert_lives(cameras, fused)
    bench.wait_status(OK, "OK")


def test_corrupt_weights_are_refused_while_running_and_the_old_model_stays(bench, cameras, tmp_path):
    corrupt = tmp_path / "corrupt.safetensors"
    corrupt.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{not json")
    node = bench.run(FusionNode, parameters=CALM)
    bench.wait_active(node)
    cameras.wait_connected()
    for path in (str(corrupt), str(tmp_path / "missing.onnx")):
        result = bench.set_parameter("fusion", models__caf=path)
        assert not result.successful
        assert path in result.reason
        assert node.get_parameter("models.caf").value == ""
    assert_lives(cameras, bench.listen(Image, "fusion/image"))


def test_failed_configure_is_answered_over_the_lifecycle_service(bench):
    node = bench.run(FusionNode, parameters={"autostart": False, "models.caf": "/no/such/file.onnx"})
    client = bench.client.create_client(ChangeState, "/fusion/change_state")
    assert client.wait_for_service(20.0)
    request = ChangeState.Request()
    request.transition.id = 1  # lifecycle_msgs/Transition: TRANSITION_CONFIGURE
    future = client.call_async(request)
    wait_for(future.done, "the answer")
    assert not future.result().success
    bench.wait_status(ERROR, "/no/such/file.onnx")
    assert not node.is_active


def test_exception_while_processing_is_counted_and_survived(bench, cameras, fusion, fused):
    def fail(_image, _header):
        raise RuntimeError("the listener broke")

    fusion.fused_listeners.append(fail)
    send_until(cameras.send_pair, lambda: bench.values().get("errors", "0") != "0", "an error")
    bench.wait_status(ERROR, "the listener broke")
    fusion.fused_listeners.clear()
    assert_lives(cameras, fused)
    bench.wait_status(OK, "OK")


def test_stamps_of_another_clock_are_dropped_with_a_hint(bench, cameras):
    node = bench.run(FusionNode, parameters={"mode": "average", "timeout": 60.0})
    bench.wait_active(node)
    cameras.wait_connected()
    start, long_ago = time.time_ns(), time.time_ns() - 3600 * 10**9

    def dropped():
        return bench.level() == WARN and "too old" in bench.diagnostics["fusion"].message

    send_until(lambda: cameras.send_pair(long_ago + time.time_ns() - start), dropped, "pairs that are too old")
    assert "use_sim_time" in bench.wait_log("is 3.6e+03 s old")[0]
    assert int(bench.values()["dropped.too_old"]) > 0


def test_stamps_from_the_future_are_fused_and_complained_of(bench, cameras, fusion, fused):
    def complains():
        return bench.level() == WARN and "ahead of this node's clock" in bench.diagnostics["fusion"].message

    send_until(lambda: cameras.send_pair(time.time_ns() + 3600 * 10**9), complains, "the complaint")
    assert fused


def test_incompatible_quality_of_service_is_named_with_its_cure(bench, fusion):
    from rclpy.qos import QoSDurabilityPolicy

    qos = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    bench.listen(Image, "fusion/image", qos)
    assert bench.wait_log("qos_overrides./fusion/image.publisher.durability")


def test_images_of_both_ends_of_the_scale_are_fused(bench, cameras, fusion, fused):
    for rgb, thermal in ((rgb_image(0), np.zeros((48, 64), np.uint8)), (rgb_image(255), thermal_image(1) * 0)):
        before = len(fused)
        stamp = time.time_ns()
        cameras.rgb.publish(image_message(rgb, header_of(stamp, "rgb")))
        cameras.thermal.publish(image_message(thermal, header_of(stamp, "thermal")))
        wait_for(lambda: len(fused) > before, "a fused image")  # noqa: B023
