"""The launch file: its arguments, and the pipeline that it starts, switches and stops, for real.

The launch system is not on PyPI: where no ROS distribution is sourced, the tests that need it are skipped.
"""

import ast
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

LAUNCH_FILE = Path(__file__).resolve().parent.parent.parent / "launch" / "fusion_pipeline.launch.py"
# What the package promises (README, Launch).
ARGUMENTS = {
    "rgb_topic",
    "thermal_topic",
    "camera_info_topic",
    "params_file",
    "mode",
    "device",
    "backend",
    "composed",
    "detection",
    "segmentation",
    "rviz",
    "use_sim_time",
    "namespace",
    "bag",
    "log_level",
}
START_TIMEOUT = 60.0  # s; loading the networks on a busy machine
STOP_TIMEOUT = 20.0  # s; launch itself waits 5 s before it sends SIGTERM

needs_launch = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None,
    reason="the ROS launch system is not installed (it is not on PyPI; source a ROS distribution)",
)


def declared_arguments() -> dict[str, ast.Call]:
    """Return the DeclareLaunchArgument calls of the launch file by argument name."""
    calls = (node for node in ast.walk(ast.parse(LAUNCH_FILE.read_text())) if isinstance(node, ast.Call))
    found = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "DeclareLaunchArgument"]
    return {ast.literal_eval(call.args[0]): call for call in found}


def test_the_launch_file_declares_the_promised_arguments():
    assert set(declared_arguments()) == ARGUMENTS


def test_every_argument_has_a_description_and_a_default():
    for call in declared_arguments().values():
        assert {"description", "default_value"} <= {keyword.arg for keyword in call.keywords}


def launch_context(**values: str):
    """Load the launch file and apply its arguments; return its description and a context with their values."""
    from launch import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    context = LaunchContext()
    description = PythonLaunchDescriptionSource(str(LAUNCH_FILE)).get_launch_description(context)
    context.launch_configurations.update(values)
    for argument in description.get_launch_arguments():
        argument.execute(context)
    return description, context


def started(**values: str) -> list:
    """Return the Node actions that the launch file starts for these arguments."""
    description, context = launch_context(**values)
    actions = [action for entity in description.entities for action in entity.execute(context) or []]
    return [action for action in actions if hasattr(action, "node_executable")]


@needs_launch
def test_show_args_lists_every_argument_with_its_description():
    description, _ = launch_context()
    shown = {argument.name: argument.description for argument in description.get_launch_arguments()}
    assert set(shown) == ARGUMENTS
    assert all(len(text) > 10 for text in shown.values())


@needs_launch
@pytest.mark.parametrize("argument", ["mode", "backend", "composed", "log_level", "use_sim_time"])
def test_a_value_that_does_not_exist_is_refused_before_anything_starts(argument: str):
    with pytest.raises(RuntimeError, match=f"{argument}.*nonsense|nonsense.*{argument}"):
        launch_context(**{argument: "nonsense"})


@needs_launch
@pytest.mark.parametrize(
    ("values", "executables"),
    [
        ({}, ["fusion_node", "detection_node", "segmentation_node"]),
        ({"detection": "false"}, ["fusion_node", "segmentation_node"]),
        ({"segmentation": "false", "detection": "false"}, ["fusion_node"]),
        ({"composed": "true"}, ["pipeline_node"]),
        ({"composed": "true", "bag": "drive.mcap"}, ["pipeline_node", "player_node"]),
        ({"rviz": "true", "composed": "true"}, ["pipeline_node", "rviz2"]),
    ],
)
def test_arguments_decide_what_is_started(values: dict[str, str], executables: list[str]):
    assert [action.node_executable for action in started(**values)] == executables


class Pipeline:
    """The launch file running in a process group of its own, and a node that feeds and hears it."""

    def __init__(self, install: Path, arguments: dict[str, str], log: Path) -> None:
        import rclpy

        self.namespace = f"launch_test_{os.getpid()}"
        self.log = log
        (site_packages,) = install.glob("lib/python3*/site-packages")
        environment = dict(os.environ)
        for name, first in (
            ("AMENT_PREFIX_PATH", str(install)),
            ("PYTHONPATH", str(site_packages)),
            ("PATH", str(Path(sys.executable).parent)),
        ):
            environment[name] = os.pathsep.join(filter(None, [first, os.environ.get(name, "")]))
        values = {"namespace": self.namespace, **arguments}
        code = (
            "import sys\n"
            "from launch import LaunchDescription, LaunchService\n"
            "from launch.actions import IncludeLaunchDescription\n"
            "from launch.launch_description_sources import PythonLaunchDescriptionSource\n"
            "values = [argument.split(':=', 1) for argument in sys.argv[2:]]\n"
            "source = PythonLaunchDescriptionSource(sys.argv[1])\n"
            "service = LaunchService(noninteractive=True)\n"
            "include = IncludeLaunchDescription(source, launch_arguments=values)\n"
            "service.include_launch_description(LaunchDescription([include]))\n"
            "sys.exit(service.run())\n"
        )
        launch_file = install / "share/fusion_ros/launch" / LAUNCH_FILE.name
        command = [sys.executable, "-c", code, str(launch_file), *(f"{k}:={v}" for k, v in values.items())]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("feeder", context=self.context, namespace=self.namespace)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.received: dict[str, list] = {}
        self.random = np.random.default_rng(0)

    def listen(self, topic: str, message_type: type, qos: object = 10) -> list:
        self.received[topic] = []
        self.node.create_subscription(message_type, topic, self.received[topic].append, qos)
        return self.received[topic]

    def feed_until(self, condition: Callable[[], bool], timeout: float = START_TIMEOUT) -> bool:
        """Publish pairs at 20 Hz until `condition` holds; tell whether it came to hold."""
        from sensor_msgs.msg import Image

        if not hasattr(self, "cameras"):
            self.cameras = [self.node.create_publisher(Image, f"{name}/image", 5) for name in ("rgb", "thermal")]
        end = time.monotonic() + timeout
        while not condition() and time.monotonic() < end and self.process.poll() is None:
            stamp = self.node.get_clock().now().to_msg()
            for publisher, encoding, channels in zip(self.cameras, ("bgr8", "mono8"), (3, 1), strict=True):
                message = Image(height=96, width=128, encoding=encoding, step=128 * channels)
                message.header.stamp = stamp
                # New noise each time: a thermal image that never changes counts as a frozen sensor.
                message.data = self.random.integers(0, 255, 96 * 128 * channels, np.uint8).tobytes()
                publisher.publish(message)
            next_pair = time.monotonic() + 0.05
            while time.monotonic() < next_pair:
                self.executor.spin_once(timeout_sec=max(0.0, next_pair - time.monotonic()))
        return condition()

    def spin_until(self, condition: Callable[[], bool], timeout: float = START_TIMEOUT) -> bool:
        """Only listen until `condition` holds; tell whether it came to hold."""
        end = time.monotonic() + timeout
        while not condition() and time.monotonic() < end and self.process.poll() is None:
            self.executor.spin_once(timeout_sec=0.1)
        return condition()

    def set_mode(self, mode: str) -> None:
        from rclpy.parameter import Parameter
        from rclpy.parameter_client import AsyncParameterClient

        client = AsyncParameterClient(self.node, "fusion")
        assert client.wait_for_services(timeout_sec=10.0)
        future = client.set_parameters([Parameter("mode", value=mode)])
        assert self.feed_until(future.done, 10.0)
        assert [result.successful for result in future.result().results] == [True]

    def interrupt(self) -> str:
        """Interrupt launch, as Ctrl-C does, and return everything that it and the nodes printed."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(STOP_TIMEOUT)
        return self.log.read_text()

    def terminate_nodes(self) -> str:
        """Terminate every node with SIGTERM, upon which launch has nothing left to do; return what was printed.

        (SIGTERM to launch itself ends launch at once and leaves its processes running: that is launch's own doing.)
        """
        for child in psutil.Process(self.process.pid).children(recursive=True):
            child.terminate()
        self.process.wait(STOP_TIMEOUT)
        return self.log.read_text()

    def close(self) -> None:
        import rclpy

        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def start(installed_package: Path, tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Start the installed launch file with arguments; everything is ended after the test."""
    running: list[Pipeline] = []

    def start_pipeline(**arguments: str) -> Pipeline:
        running.append(Pipeline(installed_package, arguments, tmp_path / "launch.log"))
        return running[-1]

    yield start_pipeline
    for pipeline in running:
        pipeline.close()


def latched():
    from rclpy.qos import DurabilityPolicy, QoSProfile

    return QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@needs_launch
@pytest.mark.parametrize("composed", ["false", "true"])
@pytest.mark.parametrize("end", [Pipeline.interrupt, Pipeline.terminate_nodes])
def test_the_pipeline_starts_switches_and_stops_cleanly(start, composed: str, end: Callable[[Pipeline], str]):
    from sensor_msgs.msg import Image
    from std_msgs.msg import String

    pipeline = start(composed=composed, mode="guided", detection="false", segmentation="false")
    fused = pipeline.listen("fusion/image", Image)
    modes = pipeline.listen("fusion/mode", String, latched())
    assert pipeline.feed_until(lambda: len(fused) >= 3), pipeline.log.read_text()
    assert (fused[-1].width, fused[-1].height, fused[-1].encoding) == (128, 96, "bgr8")
    assert modes[-1].data == "guided"
    pipeline.set_mode("average")
    assert pipeline.feed_until(lambda: modes[-1].data == "average", 10.0), pipeline.log.read_text()
    output = end(pipeline)
    assert "process has finished cleanly" in output
    assert "process has died" not in output
    assert "Traceback" not in output


@needs_launch
@pytest.mark.timeout(240)
@pytest.mark.parametrize("composed", ["false", "true"])
def test_all_nodes_of_the_default_launch_deliver(start, composed: str):
    from sensor_msgs.msg import Image
    from vision_msgs.msg import Detection2DArray

    pipeline = start(composed=composed)
    fused = pipeline.listen("fusion/image", Image)
    detections = pipeline.listen("detections", Detection2DArray)
    masks = pipeline.listen("segmentation/mask", Image)
    assert pipeline.feed_until(lambda: bool(fused and detections and masks), 120.0), pipeline.log.read_text()
    assert masks[-1].encoding == "mono8"
    output = pipeline.interrupt()
    assert output.count("process has finished cleanly") == (1 if composed == "true" else 3)
    assert "process has died" not in output


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A bag with four seconds of pairs at 10 Hz."""
    from fusion_ros.bags.writer import BagWriter
    from fusion_ros.types import Frame

    random = np.random.default_rng(0)
    with BagWriter(tmp_path / "drive") as bag:
        for index in range(40):
            stamp = 1_000_000_000_000 + index * 100_000_000
            rgb = random.integers(0, 255, (96, 128, 3), np.uint8)
            bag.write_image("/rgb/image", Frame(rgb, stamp, "rgb_camera"))
            bag.write_image("/thermal/image", Frame(rgb[..., 0].copy(), stamp, "thermal_camera"))
    return tmp_path / "drive"


@needs_launch
def test_a_bag_is_replayed_on_its_own_time(start, recording: Path):
    from sensor_msgs.msg import Image

    pipeline = start(
        bag=str(recording),
        rgb_topic="/rgb/image",
        thermal_topic="/thermal/image",
        mode="average",
        detection="false",
        segmentation="false",
        namespace="",
    )
    fused = pipeline.listen("/fusion/image", Image)
    assert pipeline.spin_until(lambda: len(fused) >= 5), pipeline.log.read_text()
    # Seconds of the recording, not of the wall clock.
    assert 1000 <= fused[-1].header.stamp.sec < 1005
    assert "process has died" not in pipeline.interrupt()
