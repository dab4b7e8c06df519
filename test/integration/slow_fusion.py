"""The fusion node as a process of its own, with a model that keeps the worker busy for long."""

import os
import sys
import time

from fusion_ros.fusion import ModelUnavailableError, load_model
from fusion_ros.ros.fusion_node import FusionNode
from fusion_ros.ros.run import run_nodes

SECONDS = float(os.environ["INFERENCE_SECONDS"])


class SlowModel:
    """Says that it has begun, and holds the interpreter's lock no more than a network does."""

    device, backend, precision = "cpu", "test", "fp32"

    def fuse(self, rgb_bgr, thermal):
        print("inference begins", flush=True)
        time.sleep(SECONDS)
        return rgb_bgr

    def warm_up(self, height, width):
        pass


def load(name, weights, device, backend, precision):
    if name == "caf":
        return SlowModel()
    if name in ("epofusion", "dfvo"):
        raise ModelUnavailableError(f"{name}: left out of this test")
    return load_model(name, weights, device, backend, precision)


def make_nodes():
    node = FusionNode(model_loader=load)
    node.activated = lambda: print("active", flush=True)
    return [node]


if __name__ == "__main__":
    sys.exit(run_nodes(make_nodes))
