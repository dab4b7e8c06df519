"""The one description of the node graph: which nodes run, how they are wired and what they are told.

The launch file and `fusion-ros demo` both start what `fusion_pipeline` describes, so that they cannot drift apart.
Nothing here imports rclpy or launch.

    rgb/image, thermal/image, rgb/camera_info -> fusion -> fusion/image -> detection    -> detections
                                                                       \\-> segmentation -> segmentation/mask
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "fusion_ros"

ParameterScalar = bool | int | float | str

RGB_TOPIC = "rgb/image"
THERMAL_TOPIC = "thermal/image"
CAMERA_INFO_TOPIC = "rgb/camera_info"
FUSED_TOPIC = "fusion/image"

FUSION = "fusion"
DETECTION = "detection"
SEGMENTATION = "segmentation"
PLAYER = "player"


@dataclass(frozen=True)
class NodeSpec:
    """One process of the graph.

    Attributes:
        executable: what `ros2 run fusion_ros` would start.
        name: node name, or None where the executable hosts several nodes that keep their own names.
        namespace: namespace of the node or nodes, without a leading slash; empty for the root.
        arguments: the executable's own arguments, which stand before the ROS arguments.
        remappings: pairs (from, to). In a process of several nodes, `from` starts with the node's name and a colon.
        parameters: values that override those of `params_file`.
        params_file: YAML file with parameters by node name, or None.
        log_level: `debug`, `info`, `warn`, `error`, `fatal`, or empty for the default.
    """

    executable: str
    name: str | None
    namespace: str = ""
    arguments: tuple[str, ...] = ()
    remappings: tuple[tuple[str, str], ...] = ()
    parameters: Mapping[str, ParameterScalar] = field(default_factory=dict)
    params_file: str | None = None
    log_level: str = ""

    @property
    def package(self) -> str:
        """Package that the executable belongs to."""
        return PACKAGE

    def ros_arguments(self) -> list[str]:
        """Return what follows `--ros-args` on the command line."""
        arguments: list[str] = []
        if self.name is not None:
            arguments += ["-r", f"__node:={self.name}"]
        if self.namespace:
            arguments += ["-r", f"__ns:=/{self.namespace.strip('/')}"]
        for source, target in self.remappings:
            arguments += ["-r", f"{source}:={target}"]
        if self.params_file is not None:
            arguments += ["--params-file", self.params_file]
        for name, value in self.parameters.items():
            # JSON is YAML: a quoted string stays a string even where it looks like a number.
            arguments += ["-p", f"{name}:={json.dumps(value)}"]
        if self.log_level:
            arguments += ["--log-level", self.log_level]
        return arguments


def command(spec: NodeSpec) -> list[str]:
    """Return the command line that runs `spec` with this Python, without launch or an installed executable."""
    return [
        sys.executable,
        "-m",
        f"{PACKAGE}.ros.start",
        spec.executable,
        *spec.arguments,
        "--ros-args",
        *spec.ros_arguments(),
    ]


def fusion_pipeline(
    *,
    rgb_topic: str = RGB_TOPIC,
    thermal_topic: str = THERMAL_TOPIC,
    camera_info_topic: str = CAMERA_INFO_TOPIC,
    params_file: str | None = None,
    mode: str | None = None,
    device: str | None = None,
    backend: str | None = None,
    composed: bool = False,
    detection: bool = True,
    segmentation: bool = True,
    use_sim_time: bool | None = None,
    namespace: str = "",
    bag: str | None = None,
    bag_rate: float | None = None,
    bag_loop: bool | None = None,
    log_level: str = "",
) -> tuple[NodeSpec, ...]:
    """Describe the processes of the fusion pipeline, in the order in which to start them.

    Args:
        rgb_topic: topic of the RGB camera's images; its compressed form is looked for at `<topic>/compressed`.
        thermal_topic: topic of the thermal camera's images, likewise.
        camera_info_topic: topic of the RGB camera's calibration.
        params_file: YAML file with parameters by node name; None for the defaults.
        mode: fusion mode; None leaves it to `params_file`, as it does `device` and `backend`.
        device: `auto`, `cpu` or `cuda[:n]`, for all nodes.
        backend: `auto`, `torch`, `onnx` or `tensorrt`, for fusion; the other two follow their weights.
        composed: True for one process (`pipeline_node`), in which images pass between the nodes without DDS.
        detection: run the detector on the fused image.
        segmentation: run the segmenter on the fused image.
        use_sim_time: take the time from `/clock`; None for True exactly when a bag is replayed.
        namespace: namespace of all nodes but the player.
        bag: rosbag2 folder or `.mcap` to replay, or None for live cameras.
        bag_rate: speed of the replay, 1.0 for that of the recording.
        bag_loop: start the replay again at its end.
        log_level: severity from which log messages are shown.

    Returns:
        The node specs; the player, where there is a bag, comes last. Links of which both ends are described here are
        reliable: a best-effort subscriber loses a large image for one lost packet. `params_file` may say otherwise.
    """
    if use_sim_time is None:
        use_sim_time = bag is not None
    common: dict[str, ParameterScalar] = {"use_sim_time": use_sim_time}
    if device is not None:
        common["device"] = device
    for_fusion: dict[str, ParameterScalar] = {} if mode is None else {"mode": mode}
    inputs = (
        (RGB_TOPIC, rgb_topic),
        (f"{RGB_TOPIC}/compressed", f"{rgb_topic}/compressed"),
        (THERMAL_TOPIC, thermal_topic),
        (f"{THERMAL_TOPIC}/compressed", f"{thermal_topic}/compressed"),
        (CAMERA_INFO_TOPIC, camera_info_topic),
    )
    wiring: dict[str, tuple[tuple[str, str], ...]] = {
        FUSION: tuple((source, target) for source, target in inputs if source != target)
    }
    if detection:
        wiring[DETECTION] = (("image", FUSED_TOPIC),)
    if segmentation:
        wiring[SEGMENTATION] = (("image", FUSED_TOPIC),)
    played = [target for _, target in inputs] if bag is not None else []
    for_fusion |= _reliable(played, namespace, params_file)
    for_others = _reliable([FUSED_TOPIC], namespace, params_file)
    if composed:
        specs = [_one_process(wiring, backend, {**common, **for_fusion}, params_file, namespace, log_level)]
    else:
        if backend is not None:
            for_fusion["backend"] = backend
        specs = [
            NodeSpec(
                executable=f"{name}_node",
                name=name,
                namespace=namespace,
                remappings=remappings,
                parameters={**common, **(for_fusion if name == FUSION else for_others)},
                params_file=params_file,
                log_level=log_level,
            )
            for name, remappings in wiring.items()
        ]
    if bag is not None:
        specs.append(_player(bag, bag_rate, bag_loop, params_file, log_level))
    return tuple(specs)


def resolved(topic: str, namespace: str) -> str:
    """Return the full name of a topic as a node in `namespace` resolves it."""
    if topic.startswith("/"):
        return topic
    return "/" + "/".join(part for part in (namespace.strip("/"), topic) if part)


def _reliable(topics: Sequence[str], namespace: str, params_file: str | None) -> dict[str, ParameterScalar]:
    """Subscribe to `topics` reliably, except where `params_file` sets that itself: what is given here would win."""
    names = [f"qos_overrides.{resolved(topic, namespace)}.subscription.reliability" for topic in topics]
    # A file that does not exist is the node's to complain about.
    written = Path(params_file).read_text(encoding="utf-8") if params_file and Path(params_file).is_file() else ""
    return {name: "reliable" for name in names if name not in written}


def _one_process(
    wiring: Mapping[str, tuple[tuple[str, str], ...]],
    backend: str | None,
    parameters: Mapping[str, ParameterScalar],
    params_file: str | None,
    namespace: str,
    log_level: str,
) -> NodeSpec:
    return NodeSpec(
        executable="pipeline_node",
        name=None,
        namespace=namespace,
        # A parameter on the command line is that of every node in the process.
        arguments=("--nodes", *wiring, *(("--backend", backend) if backend is not None else ())),
        remappings=tuple(
            (f"{name}:{source}", target) for name, remappings in wiring.items() for source, target in remappings
        ),
        parameters=parameters,
        params_file=params_file,
        log_level=log_level,
    )


def _player(bag: str, rate: float | None, loop: bool | None, params_file: str | None, log_level: str) -> NodeSpec:
    parameters: dict[str, ParameterScalar] = {"bag": bag}
    if rate is not None:
        parameters["rate"] = rate
    if loop is not None:
        parameters["loop"] = loop
    return NodeSpec(
        executable="player_node", name=PLAYER, parameters=parameters, params_file=params_file, log_level=log_level
    )
