"""Memory does not grow with the length of a recording."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from recordings import PERIOD, START, scene

from fusion_ros.bags.writer import BagWriter
from fusion_ros.types import Frame

SHORT, LONG = 15, 75
HEIGHT, WIDTH = 240, 320
# Prints the most that the process has held, in kB.
EVALUATE = """
import resource, sys
from pathlib import Path
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.run import evaluate
from fusion_ros.fusion import load_model
config = EvaluationConfig(modes="guided", searched_pictures=0)
load = lambda name, weights, *rest: load_model("average" if name in ("caf", "dfvo", "epofusion") else name)
evaluate([Path(sys.argv[1])], Path(sys.argv[2]), config, loader=load)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_mb(folder, frames):
    scenes = [[cv2.resize(image, (WIDTH, HEIGHT)) for image in scene(index)] for index in range(3)]
    with BagWriter(folder / f"bag{frames}") as bag:
        for index in range(frames):
            rgb, thermal = scenes[index % 3]
            bag.write_image("/rgb/image", Frame(rgb, START + index * PERIOD))
            bag.write_image("/thermal/image", Frame(thermal, START + index * PERIOD))
    words = [sys.executable, "-c", EVALUATE, str(bag.path), str(folder / f"out{frames}")]
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True, timeout=500)
    return int(done.stdout.split()[-1]) / 1024


@pytest.mark.timeout(600)
def test_five_times_the_frames_need_no_more_memory(tmp_path):
    short, long = peak_mb(tmp_path, SHORT), peak_mb(tmp_path, LONG)
    # Half of what the fused images of all five modes would take, were they held.
    held = 5 * (LONG - SHORT) * HEIGHT * WIDTH * 3 / 2**20
    assert long - short < held / 2
