"""The one table of topics: names, types and what travels on them. Nothing here imports rclpy."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_ros.image_encoding import RGB_ENCODINGS, THERMAL_ENCODINGS
from fusion_ros.ros import graph

RGB_IMAGE = graph.RGB_TOPIC
RGB_COMPRESSED = f"{graph.RGB_TOPIC}/compressed"
RGB_CAMERA_INFO = graph.CAMERA_INFO_TOPIC
THERMAL_IMAGE = graph.THERMAL_TOPIC
THERMAL_COMPRESSED = f"{graph.THERMAL_TOPIC}/compressed"
FUSED_IMAGE = graph.FUSED_TOPIC
FUSED_CAMERA_INFO = "fusion/camera_info"
FUSION_MODE = "fusion/mode"
FUSION_EXPOSURE = "fusion/exposure"
FUSION_GUIDANCE = "fusion/guidance"
THERMAL_PREVIEW = "thermal/preview"
DEBUG_OVERLAY = "~/debug/overlay"
DEBUG_PROCESSING = "~/debug/processing_ms"
DEBUG_LATENCY = "~/debug/latency_ms"
DEBUG_SKEW = "~/debug/pair_skew_ms"
IMAGE = "image"
DETECTIONS = "detections"
DETECTIONS_IMAGE = "detections/image"
SEGMENTATION_MASK = "segmentation/mask"
SEGMENTATION_IMAGE = "segmentation/image"
LABEL_INFO = "~/label_info"
DIAGNOSTICS = "/diagnostics"
CLOCK = "/clock"


@dataclass(frozen=True)
class Topic:
    """One topic as the documentation shows it."""

    node: str
    direction: str
    name: str
    message_type: str
    notes: str


_IMAGE_TYPE = "sensor_msgs/Image"
_COMPRESSED_TYPE = "sensor_msgs/CompressedImage"
_NUMBER_TYPE = "std_msgs/Float32"
_PERCEPTION = f"{graph.DETECTION}, {graph.SEGMENTATION}"

TOPICS = (
    Topic(graph.FUSION, "in", RGB_IMAGE, _IMAGE_TYPE, ", ".join(RGB_ENCODINGS)),
    Topic(
        graph.FUSION, "in", RGB_COMPRESSED, _COMPRESSED_TYPE, "instead of the above with `rgb_transport: compressed`"
    ),
    Topic(
        graph.FUSION,
        "in",
        THERMAL_IMAGE,
        _IMAGE_TYPE,
        f"{', '.join(THERMAL_ENCODINGS)}: 8 bit, raw counts, or degrees as 32FC1",
    ),
    Topic(
        graph.FUSION,
        "in",
        THERMAL_COMPRESSED,
        _COMPRESSED_TYPE,
        "instead of the above with `thermal_transport: compressed`; a 16-bit PNG keeps the counts",
    ),
    Topic(graph.FUSION, "in", RGB_CAMERA_INFO, "sensor_msgs/CameraInfo", "optional"),
    Topic(graph.FUSION, "out", FUSED_IMAGE, _IMAGE_TYPE, "bgr8, size and header of the RGB image"),
    Topic(
        graph.FUSION,
        "out",
        FUSED_CAMERA_INFO,
        "sensor_msgs/CameraInfo",
        "`rgb/camera_info` with the fused image's stamp, scaled to its size",
    ),
    Topic(
        graph.FUSION,
        "out",
        FUSION_MODE,
        "std_msgs/String",
        "the mode in force, a fallback's name where one stands in; transient local, on change",
    ),
    Topic(
        graph.FUSION,
        "out",
        FUSION_EXPOSURE,
        "std_msgs/Float32MultiArray",
        "glare_fraction, dark_fraction, mean_luma of each RGB image; the label says so",
    ),
    Topic(
        graph.FUSION, "out", FUSION_GUIDANCE, _IMAGE_TYPE, "mono8, predicted over-exposure mask; only while subscribed"
    ),
    Topic(
        graph.FUSION,
        "out",
        THERMAL_PREVIEW,
        _IMAGE_TYPE,
        "mono8 after gain control and registration; only while subscribed",
    ),
    Topic(
        graph.FUSION,
        "out",
        DEBUG_OVERLAY,
        _IMAGE_TYPE,
        "bgr8, thermal edges over the RGB image, to judge the registration; only while subscribed",
    ),
    Topic("all", "out", DEBUG_PROCESSING, _NUMBER_TYPE, "compute time of a frame, milliseconds"),
    Topic("all", "out", DEBUG_LATENCY, _NUMBER_TYPE, "stamp to publication, milliseconds"),
    Topic(graph.FUSION, "out", DEBUG_SKEW, _NUMBER_TYPE, "thermal minus RGB stamp, milliseconds"),
    Topic("all", "out", DIAGNOSTICS, "diagnostic_msgs/DiagnosticArray", "once a second"),
    Topic(_PERCEPTION, "in", IMAGE, _IMAGE_TYPE, f"remapped to `{FUSED_IMAGE}` by the launch file"),
    Topic(
        graph.DETECTION,
        "out",
        DETECTIONS,
        "vision_msgs/Detection2DArray",
        "header of the input; class ids as strings, named by `~/label_info`",
    ),
    Topic(graph.DETECTION, "out", DETECTIONS_IMAGE, _IMAGE_TYPE, "bgr8, boxes drawn; only while subscribed"),
    Topic(graph.SEGMENTATION, "out", SEGMENTATION_MASK, _IMAGE_TYPE, "mono8 class ids, size and header of the input"),
    Topic(graph.SEGMENTATION, "out", SEGMENTATION_IMAGE, _IMAGE_TYPE, "bgr8, coloured; only while subscribed"),
    Topic(_PERCEPTION, "out", LABEL_INFO, "vision_msgs/LabelInfo", "class id to name; transient local"),
    Topic(graph.PLAYER, "out", CLOCK, "rosgraph_msgs/Clock", "the recording's time, for nodes with `use_sim_time`"),
    Topic(graph.PLAYER, "out", "as recorded", "as recorded", "every topic of the recording"),
)


def topic_markdown() -> str:
    """Return the table of topics as Markdown."""
    rows = ["| node | direction | topic | type | notes |", "|---|---|---|---|---|"]
    rows += [f"| {t.node} | {t.direction} | `{t.name}` | `{t.message_type}` | {t.notes} |" for t in TOPICS]
    return "\n".join(rows) + "\n"
