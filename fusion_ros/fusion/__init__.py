"""Fusion methods as image functions: colour, padding, weights and backends around the networks."""

from __future__ import annotations

from fusion_ros.fusion.model import FusionModel
from fusion_ros.fusion.registry import ModelUnavailableError, is_available, list_models, load_model

__all__ = ["FusionModel", "ModelUnavailableError", "is_available", "list_models", "load_model"]
