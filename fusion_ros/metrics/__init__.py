"""Image-fusion metrics with a declared profile, so that numbers are compared like with like.

from fusion_ros.metrics import fusion_metrics
fusion_metrics(visible, infrared, fused)                       # (H, W) uint8 each -> {"EN": 7.1, "MI": 3.3, ...}
fusion_metrics(visible, infrared, fused, profile="tang2023")   # as another toolkit would print them
"""

from __future__ import annotations

from fusion_ros.metrics.flicker import FlickerMeter, FlickerReading
from fusion_ros.metrics.overexposure import (
    GradientRetention,
    gradient_retention,
    overexposure_mask,
    saturated_share,
)
from fusion_ros.metrics.profiles import METRICS, PROFILES, Profile
from fusion_ros.metrics.regions import RegionScorer, masked_fusion_metrics
from fusion_ros.metrics.scoring import FusionScorer, fusion_metrics, fusion_metrics_batch

__all__ = [
    "METRICS",
    "PROFILES",
    "FlickerMeter",
    "FlickerReading",
    "FusionScorer",
    "GradientRetention",
    "Profile",
    "RegionScorer",
    "fusion_metrics",
    "fusion_metrics_batch",
    "gradient_retention",
    "masked_fusion_metrics",
    "overexposure_mask",
    "saturated_share",
]
