"""EPOFusion: fusion of over-exposed pairs, one file per block of the paper's Fig. 2."""

from __future__ import annotations

from fusion_ros.networks.epofusion.network import EPOFusionConfig, EPOFusionNet, EPOFusionOutput

__all__ = ["EPOFusionConfig", "EPOFusionNet", "EPOFusionOutput"]
