"""DFVO: fusion of low-light pairs, one file per block of the paper's Fig. 2."""

from __future__ import annotations

from fusion_ros.networks.dfvo.network import DFVOConfig, DFVONet, DFVOOutput

__all__ = ["DFVOConfig", "DFVONet", "DFVOOutput"]
