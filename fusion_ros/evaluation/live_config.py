"""How a recording is replayed through the running nodes."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_ros.configuration import setting, validate

# Folder of the replays within that of a run, and what they are called in its summary.
LIVE = "live"
OURS, ROS2 = "player_node", "ros2"


@dataclass(frozen=True)
class LiveConfig:
    """Settings of `--live`."""

    live_rate: float = setting(
        0.0,
        "speed of the replay for --live, 1 for real time as on a vehicle; 0: as fast as the nodes keep up, so that no "
        "pair is lost",
        minimum=0.0,
        maximum=100.0,
    )
    live_player: str = setting(
        OURS,
        "what replays for --live: player_node or ros2 (`ros2 bag play`, real time by default)",
        choices=(OURS, ROS2),
    )

    def __post_init__(self) -> None:
        validate(self)
