"""What the light is like in an RGB frame, and which fusion mode that calls for."""

from fusion_ros.exposure.analyzer import ExposureAnalyzer, ExposureConfig
from fusion_ros.exposure.selector import ModeSelector, SelectorConfig

__all__ = ["ExposureAnalyzer", "ExposureConfig", "ModeSelector", "SelectorConfig"]
