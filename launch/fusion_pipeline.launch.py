"""Start the fusion pipeline: fusion, detection and segmentation, from cameras or from a bag.

The nodes, their wiring and their parameters come from `fusion_ros.ros.graph`, which `fusion-ros demo` starts as well.
The nodes configure and activate themselves (`autostart`).
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from fusion_ros.ros import graph
from fusion_ros.ros.parameters import parameter_table

# Installed, this file lies in share/fusion_ros/launch; in the source, in launch/: config/ is its neighbour in both.
CONFIG = Path(__file__).resolve().parent.parent / "config"
BOOLEAN = ["true", "false"]
CHOICES = {found.name: ["", *found.choices] for found in parameter_table(graph.FUSION)}
LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"]
# The topics of config/fusion.rviz besides the RGB camera's.
RVIZ_TOPICS = ("thermal/preview", graph.FUSED_TOPIC, "detections/image", "segmentation/image")

ARGUMENTS = [
    DeclareLaunchArgument("rgb_topic", default_value=graph.RGB_TOPIC, description="Topic of the RGB images."),
    DeclareLaunchArgument(
        "thermal_topic", default_value=graph.THERMAL_TOPIC, description="Topic of the thermal images."
    ),
    DeclareLaunchArgument(
        "camera_info_topic",
        default_value=graph.CAMERA_INFO_TOPIC,
        description="Topic of the RGB camera's calibration; republished with the fused image's stamp.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(CONFIG / "fusion.yaml"),
        description="YAML file with the parameters of all nodes.",
    ),
    DeclareLaunchArgument(
        "mode",
        default_value="",
        choices=CHOICES["mode"],
        description="Fusion mode at the start; empty: as params_file says. `auto` follows the exposure.",
    ),
    DeclareLaunchArgument(
        "device",
        default_value="",
        description="Where the networks run: auto, cpu, cuda or cuda:N; empty: as params_file says.",
    ),
    DeclareLaunchArgument(
        "backend",
        default_value="",
        choices=CHOICES["backend"],
        description="What runs the fusion networks; the other models follow their files. Empty: as params_file says.",
    ),
    DeclareLaunchArgument(
        "composed",
        default_value="false",
        choices=BOOLEAN,
        description="One process for all nodes: fused images pass between them without DDS.",
    ),
    DeclareLaunchArgument(
        "detection", default_value="true", choices=BOOLEAN, description="Run the detector on the fused image."
    ),
    DeclareLaunchArgument(
        "segmentation", default_value="true", choices=BOOLEAN, description="Run the segmenter on the fused image."
    ),
    DeclareLaunchArgument(
        "rviz", default_value="false", choices=BOOLEAN, description="Show inputs, fused image and overlays in RViz."
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="auto",
        choices=["auto", *BOOLEAN],
        description="Take the time from /clock; auto: when a bag is replayed.",
    ),
    DeclareLaunchArgument(
        "namespace",
        default_value="",
        description="Namespace of all nodes; a bag's topics stay outside: give them with a leading slash.",
    ),
    DeclareLaunchArgument(
        "bag", default_value="", description="rosbag2 folder or .mcap file to replay; empty: live cameras."
    ),
    DeclareLaunchArgument(
        "log_level", default_value="info", choices=LOG_LEVELS, description="Severity from which messages are shown."
    ),
]


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments and, once their values are known, the processes."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_pipeline)])


def start_pipeline(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the launch actions for the values that the arguments have in `context`."""
    value = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
    use_sim_time = None if value["use_sim_time"] == "auto" else value["use_sim_time"] == "true"
    specs = graph.fusion_pipeline(
        rgb_topic=value["rgb_topic"],
        thermal_topic=value["thermal_topic"],
        camera_info_topic=value["camera_info_topic"],
        params_file=value["params_file"] or None,
        mode=value["mode"] or None,
        device=value["device"] or None,
        backend=value["backend"] or None,
        composed=value["composed"] == "true",
        detection=value["detection"] == "true",
        segmentation=value["segmentation"] == "true",
        use_sim_time=use_sim_time,
        namespace=value["namespace"],
        bag=value["bag"] or None,
        log_level=value["log_level"],
    )
    actions = [launch_action(spec) for spec in specs]
    if value["rviz"] == "true":
        sim_time = bool(value["bag"]) if use_sim_time is None else use_sim_time
        actions.append(rviz_action(value["namespace"], value["rgb_topic"], sim_time))
    return actions


def launch_action(spec: graph.NodeSpec) -> Node:
    """Turn one process of the graph into a launch action."""
    # The type is stated: launch would read a `mode` of "off" or a bag called "1" as something else than a string.
    parameters = {
        name: ParameterValue(parameter, value_type=type(parameter)) for name, parameter in spec.parameters.items()
    }
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        namespace=spec.namespace,
        arguments=list(spec.arguments),
        remappings=list(spec.remappings),
        parameters=[*([spec.params_file] if spec.params_file else []), parameters],
        ros_arguments=["--log-level", spec.log_level] if spec.log_level else [],
        output="screen",
    )


def rviz_action(namespace: str, rgb_topic: str, use_sim_time: bool) -> Node:
    """Show the pipeline in RViz, with the topics of the view remapped to those of the pipeline."""
    shown = {graph.RGB_TOPIC: rgb_topic, **{topic: topic for topic in RVIZ_TOPICS}}
    remappings = [(f"/{topic}", graph.resolved(actual, namespace)) for topic, actual in shown.items()]
    return Node(
        package="rviz2",
        executable="rviz2",
        name="fusion_rviz",
        arguments=["-d", str(CONFIG / "fusion.rviz")],
        remappings=[(source, target) for source, target in remappings if source != target],
        parameters=[{"use_sim_time": use_sim_time}],
        output="log",
    )
