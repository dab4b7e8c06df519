"""The two ends of the wires to a node under test, and the test's own node between them."""

from __future__ import annotations

import threading
import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image

from fusion_ros.fusion import ModelUnavailableError, load_model
from fusion_ros.fusion.fallback import NETWORK_MODES
from fusion_ros.ros.executor import make_executor
from fusion_ros.ros.fusion_node import FusionNode
from fusion_ros.ros.images import header_of, image_message

PATIENCE = 20.0
LATCHED = QoSProfile(depth=10, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
RELIABLE = QoSProfile(depth=50, reliability=QoSReliabilityPolicy.RELIABLE)


def wait_for(condition, what, patience=PATIENCE):
    """Wait until `condition()` is true and return what it returned."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {patience} s for {what}"
        time.sleep(0.01)
    return found


def classical_only(name, weights, device, backend, precision):
    """Load a fusion method; networks, which take seconds to load and to run, count as not shipped."""
    if name in NETWORK_MODES and not weights:
        raise ModelUnavailableError(f"{name}: left out of this test")
    return load_model(name, weights, device, backend, precision)


class Spinner:
    """Spins nodes in a thread of its own."""

    def __init__(self, context):
        self._context = context
        self._executor = make_executor(context)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def add(self, node):
        self._executor.add_node(node)

    def call(self, work):
        """Run `work` in the executor's thread, where lifecycle transitions belong, and return its result."""
        return wait_for_future(self._executor.create_task(work))

    def _spin(self):
        while not self._stop.is_set():
            try:
                self._executor.spin_once(0.05)
            except ExternalShutdownException:
                return

    def close(self):
        self._stop.set()
        self._thread.join(10.0)
        self._executor.shutdown()


def wait_for_future(future):
    wait_for(future.done, "an answer")
    return future.result()


class Bench:
    """A test's own node beside the nodes under test, each with an executor thread of its own."""

    def __init__(self, capture):
        self._capture = capture
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.client = Node("bench", context=self.context)
        self._spinner = Spinner(self.context)
        self._spinner.add(self.client)
        self._under_test = []
        self.received = {}
        self.diagnostics = {}
        self.logs = []
        self.client.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)
        self._clients = {}

    def run(self, make, **arguments):
        """Start the node that `make` makes, with `parameters` as overrides, and wait until it is up."""
        overrides = [Parameter(name, value=value) for name, value in arguments.pop("parameters", {}).items()]
        if make is FusionNode:
            arguments.setdefault("model_loader", classical_only)
        node = make(parameter_overrides=overrides, context=self.context, **arguments)
        self.host(node)
        return node

    def host(self, *nodes):
        """Spin `nodes` in one thread."""
        spinner = Spinner(self.context)
        for node in nodes:
            node.spinner = spinner
            spinner.add(node)
            self._under_test.append(node)

    def listen(self, message_type, topic, qos=RELIABLE):
        """Collect the messages of a topic; returns the list that they are put in."""
        found = []
        self.client.create_subscription(message_type, topic, found.append, qos)
        return found

    def set_parameter(self, node, **values):
        """Set parameters of `/<node>` over DDS, `__` for dots, and return the result of the last."""
        if node not in self._clients:
            self._clients[node] = self.client.create_client(SetParameters, f"/{node}/set_parameters")
        client = self._clients[node]
        assert client.wait_for_service(PATIENCE)
        request = SetParameters.Request()
        for name, value in values.items():
            request.parameters.append(Parameter(name.replace("__", "."), value=value).to_parameter_msg())
        return wait_for_future(client.call_async(request)).results[-1]

    def values(self, name="fusion"):
        """The latest diagnostic values of a node, as a dict."""
        status = self.diagnostics.get(name)
        return {} if status is None else {value.key: value.value for value in status.values}

    def level(self, name="fusion"):
        status = self.diagnostics.get(name)
        return None if status is None else int.from_bytes(status.level, "little")

    def wait_value(self, key, expected, name="fusion"):
        wait_for(lambda: self.values(name).get(key) == expected, f"{key} = {expected}; it is {self.values(name)}")

    def wait_status(self, level, text, name="fusion"):
        """Wait for a diagnostic status of `level` whose message holds `text`."""

        def found():
            return self.level(name) == level and text in self.diagnostics[name].message

        wait_for(found, f"status {level} {text!r}")

    def find_logs(self, text):
        """Return the log messages so far that hold `text`."""
        # From the console and not from /rosout, which a subscriber hears only from some moment on.
        for line in self._capture.readouterr().err.splitlines():
            self.logs.append(line.split("]: ", 1)[-1])
        return [log for log in self.logs if text in log]

    def wait_log(self, text):
        """Wait for a log message that holds `text`, and return all of them."""
        return wait_for(lambda: self.find_logs(text), f"log {text!r}")

    def wait_active(self, node):
        wait_for(lambda: node.is_active, f"{node.get_name()} to be active")

    def _on_diagnostics(self, message):
        for status in message.status:
            self.diagnostics[status.name] = status

    def close(self):
        for node in self._under_test:
            node.spinner.close()
        for node in self._under_test:
            node.close()
            node.destroy_node()
        self._spinner.close()
        self.client.destroy_node()
        self.context.try_shutdown()


class Cameras:
    """Publishers of an RGB and a thermal camera."""

    def __init__(self, bench, qos=qos_profile_sensor_data, message_type=Image, suffix="", namespace=""):
        self.rgb = bench.client.create_publisher(message_type, f"{namespace}rgb/image{suffix}", qos)
        self.thermal = bench.client.create_publisher(message_type, f"{namespace}thermal/image{suffix}", qos)
        self._count = 0

    def wait_connected(self):
        for publisher in (self.rgb, self.thermal):
            wait_for(publisher.get_subscription_count, f"a subscriber of {publisher.topic_name}")
        # The publisher knows its subscriber before the subscriber knows its publisher.
        time.sleep(0.2)

    def send_rgb(self, stamp_ns=None, value=128, size=(64, 48), image=None):
        image = rgb_image(value, size) if image is None else image
        self.rgb.publish(image_message(image, header_of(self._stamp(stamp_ns), "rgb_camera")))

    def send_thermal(self, stamp_ns=None, size=(64, 48), image=None):
        self._count += 1
        image = thermal_image(self._count, size) if image is None else image
        self.thermal.publish(image_message(image, header_of(self._stamp(stamp_ns), "thermal_camera")))

    def send_pair(self, stamp_ns=None, **options):
        stamp_ns = self._stamp(stamp_ns)
        self.send_rgb(stamp_ns, **options)
        self.send_thermal(stamp_ns)
        return stamp_ns

    @staticmethod
    def _stamp(stamp_ns):
        return time.time_ns() if stamp_ns is None else stamp_ns


def rgb_image(value=128, size=(64, 48)):
    width, height = size
    image = np.full((height, width, 3), value, np.uint8)
    image[:, : width // 2] //= 2
    return image


def thermal_image(seed, size=(64, 48)):
    width, height = size
    # Never twice the same: a camera's noise, without which it would count as frozen.
    return np.random.default_rng(seed).integers(20000, 24000, (height, width)).astype(np.uint16)


def send_until(send, condition, what, period=0.05, patience=PATIENCE):
    """Send again and again until `condition()` is true."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"waited {patience} s for {what}"
        send()
        time.sleep(period)
