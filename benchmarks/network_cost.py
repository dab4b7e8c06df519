#!/usr/bin/env python3
"""Parameters and true operations of every network beside the papers' figures; with --measure, CPU seconds and memory.

Operations are counted by torch while the network runs on shapes without values: every multiply-add of convolutions,
matrix products and attention, as two operations. The papers count otherwise; the last column says how.

    python benchmarks/network_cost.py
    python benchmarks/network_cost.py --measure dfvo --size 1024x1280 --threads 2
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fusion_ros import networks

GIGA = 1e9
MEGA = 1e6


@dataclass(frozen=True)
class Case:
    """One network to count.

    Attributes:
        make: builds it.
        paper: the paper's parameters and operations, as printed there.
        reason: why the two differ.
    """

    make: Callable[[], nn.Module]
    paper: str = ""
    reason: str = ""


def _epofusion(steps: int) -> nn.Module:
    network: nn.Module = networks.EPOFusionNet(networks.EPOFusionConfig(steps=steps))
    return network


CASES = {
    "caf": Case(networks.CAFNet),
    "epofusion, 1 step": Case(
        lambda: _epofusion(1),
        "33.87 M, 149.99 G",
        "theirs is near one step in multiply-adds, three are recommended; 0.6 M of ours is the guidance head",
    ),
    "epofusion": Case(lambda: _epofusion(3), "33.87 M, 149.99 G", "three steps, with what never changes computed once"),
    "dfvo": Case(
        networks.DFVONet,
        "9.57 M, 732.33 G",
        "depthwise Sobel and a way up at 1/4 instead of dense and dilated ones; 2.49 M of ours serve inference",
    ),
    "dfvo, released": Case(
        lambda: networks.DFVONet(networks.DFVOConfig(topology="released")),
        "9.57 M, 732.33 G",
        "the paper's counter takes multiply-adds, skips the attention and counts the strided transposed convolution "
        "sixteen times; 9.57 M of ours serve inference",
    ),
    "caf-s": Case(networks.CAFSNet),
    "epofusion-s": Case(networks.EPOFusionSNet),
    "dfvo-s": Case(networks.DFVOSNet),
}


def count_operations(network: nn.Module, height: int, width: int) -> int:
    """Operations (two per multiply-add) of one image of this size, counted on shapes alone."""
    visible, infrared = torch.empty(2, 1, 1, height, width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.to("meta").eval()(visible, infrared)
    return int(counter.get_total_flops())


def resident() -> float:
    """MiB of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def largest_resident() -> float:
    """MiB of this process that were in memory at most since `forget_largest`."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def forget_largest() -> None:
    """Start `largest_resident` anew: building a network may have taken more than running it does."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(network: nn.Module, height: int, width: int, repeats: int) -> tuple[float, float]:
    """Seconds of CPU of the fastest run, and MiB by which the process grew at its largest, its images not counted."""
    network.eval()
    visible, infrared = torch.rand(2, 1, 1, height, width)
    forget_largest()
    before = resident()
    seconds = []
    with torch.inference_mode():
        for _ in range(repeats):
            # Of all threads together, so that what else runs on the machine does not count.
            start = time.process_time()
            network(visible, infrared)
            seconds.append(time.process_time() - start)
    return min(seconds), largest_resident() - before


def _print_counts(height: int, width: int) -> None:
    print(
        f"{'network':<18}{'M parameters':>13}{'GFLOP':>9}{'GMAC':>9}  {'paper':<20} why they differ ({height}x{width})"
    )
    for name, case in CASES.items():
        with torch.device("meta"):
            network = case.make()
        parameters = sum(parameter.numel() for parameter in network.parameters())
        operations = count_operations(network, height, width)
        print(
            f"{name:<18}{parameters / MEGA:>13.3f}{operations / GIGA:>9.2f}{operations / GIGA / 2:>9.2f}"
            f"  {case.paper:<20} {case.reason}"
        )


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=_size, default=(480, 640), help="HxW (default 480x640)")
    parser.add_argument("--measure", choices=sorted(CASES), help="run this network on the CPU")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.measure is None:
        _print_counts(*arguments.size)
        return 0
    torch.set_num_threads(arguments.threads)
    height, width = arguments.size
    seconds, memory = measure(CASES[arguments.measure].make(), height, width, arguments.repeats)
    print(f"{arguments.measure} {height}x{width}: {seconds:.3f} s of CPU, {memory:.0f} MiB above the loaded network")
    return 0


if __name__ == "__main__":
    sys.exit(main())
