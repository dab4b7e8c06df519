"""The parameters `models.*` while a node runs: a look at the file at once, the loading beside the frames."""

from __future__ import annotations

from collections.abc import Mapping

from rclpy.node import Node
from rclpy.parameter import Parameter

from fusion_ros.fusion.weights_check import check_weights
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.ros.diagnostics import StatusBuilder
from fusion_ros.ros.weights_loader import LoadedWeights, WeightsLoader


class RuntimeWeights:
    """Keeps the models of a pipeline and the parameters of its node in step; used from the executor's thread.

    Weights that a look at their file shows to be unusable are refused when they are set. Others are loaded while the
    old model serves. Where that fails, the log and the diagnostics say why, and the parameter goes back to what serves.

    Args:
        node: has the parameters `models.<mode>`.
        pipeline: loads and uses the weights.
    """

    def __init__(self, node: Node, pipeline: FusionPipeline) -> None:
        self._node = node
        self._pipeline = pipeline
        self._loader = WeightsLoader(pipeline.set_model, self._in_force())
        self._complaints: dict[str, str] = {}
        self._new_complaints: list[str] = []

    def check(self, wanted: Mapping[str, str], changed: frozenset[str]) -> None:
        """Look at the files of the parameters that are to change.

        Raises:
            InputError: one of them cannot be loaded.
        """
        in_force = self._in_force()
        for mode, weights in wanted.items():
            if f"models.{mode}" in changed and weights != in_force[mode]:
                check_weights(mode, weights)

    def watch(self, wanted: Mapping[str, str]) -> None:
        """Load what is wanted now and tell of what has been loaded; to be called regularly."""
        # First, for a load that has failed puts its parameter back.
        self._loader.want(wanted)
        for ended in self._loader.finished():
            if ended.error is None:
                self._complaints.pop(ended.mode, None)
                text = f"models.{ended.mode}: {_called(ended.weights)} serves from the next pair on"
                self._node.get_logger().info(text)
            else:
                self._complain(ended)

    def describe(self, status: StatusBuilder) -> None:
        """Say what is being loaded and what could not be."""
        status.add("loading", ", ".join(self._loader.modes_in_work) or "none")
        for mode, complaint in self._complaints.items():
            status.add(f"not_loaded.{mode}", complaint)
        for complaint in self._new_complaints:
            status.warn(complaint)
        self._new_complaints.clear()

    def stop(self) -> None:
        """Load nothing more."""
        self._loader.stop()

    def _in_force(self) -> dict[str, str]:
        return self._pipeline.config.models.by_mode()

    def _complain(self, ended: LoadedWeights) -> None:
        in_force, name = self._in_force()[ended.mode], f"models.{ended.mode}"
        complaint = f"{name}: {_called(ended.weights)} cannot be loaded: {' '.join(str(ended.error).split())}"
        self._complaints[ended.mode] = complaint
        self._new_complaints.append(complaint)
        self._node.get_logger().error(f"{complaint}; {_called(in_force)} serves on")
        if self._node.get_parameter(name).value == ended.weights:
            self._loader.keep(ended.mode, in_force)
            self._node.set_parameters([Parameter(name, value=in_force)])


def _called(weights: str) -> str:
    return weights or "what is shipped"
