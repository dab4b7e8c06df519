"""Thermal and visible pairs for training."""
