"""The thermal camera's side: counts to grey levels, a frozen sensor, registration onto the RGB grid."""

from fusion_ros.thermal.agc import AGC_METHODS, ThermalAgc, ThermalAgcConfig
from fusion_ros.thermal.frozen import FrozenFrameConfig, FrozenFrameDetector
from fusion_ros.thermal.registration import Registration, RegistrationConfig

__all__ = [
    "AGC_METHODS",
    "FrozenFrameConfig",
    "FrozenFrameDetector",
    "Registration",
    "RegistrationConfig",
    "ThermalAgc",
    "ThermalAgcConfig",
]
