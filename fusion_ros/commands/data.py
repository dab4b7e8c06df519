"""`fusion-ros data`: data sets with glare or darkness made from ordinary pairs."""

from __future__ import annotations

import argparse
from pathlib import Path

from fusion_ros.commands.assignment import read_assignments
from fusion_ros.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `fusion-ros data`."""
    parser.add_argument("kind", choices=("glare", "darkness"), help="what to add to the visible images")
    parser.add_argument("folder", type=Path, metavar="DIR", help="data set with aligned pairs")
    parser.add_argument("out", type=Path, metavar="OUT", help="new folder: vi/, ir/, clean/ and, for glare, masks")
    parser.add_argument("--layout", default="auto", help="form of DIR, such as msrs or llvip (default: look)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same images")
    parser.add_argument(
        "--sam",
        type=Path,
        metavar="FILE",
        help="glare: your SAM weights (sam2_t.pt ...) to outline hidden objects with; without, threshold and contour",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, such as strongest=2 (repeatable)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the data set and say how many pairs it has.

    Raises:
        InputError: a bad setting, data that cannot be used, or an output folder that is not empty.
        JobError: the result cannot be written.
    """
    from fusion_ros.configuration import configure
    from fusion_ros.perception.segment_anything import SegmentAnything
    from fusion_ros.training.data.darkness import DarknessConfig
    from fusion_ros.training.data.glare import GlareConfig
    from fusion_ros.training.data.synthesis import synthesise_darkness, synthesise_glare

    if arguments.sam and arguments.kind != "glare":
        raise InputError("--sam: outlines what glare hides; darkness has no use for it")
    values = read_assignments(arguments.set)
    where = (arguments.folder, arguments.out, arguments.seed)
    if arguments.kind == "glare":
        config = configure(GlareConfig, values)
        outline = SegmentAnything(arguments.sam).outline if arguments.sam else None
        count = synthesise_glare(*where, config, arguments.layout, outline)
    else:
        count = synthesise_darkness(*where, configure(DarknessConfig, values), arguments.layout)
    print(f"{arguments.out}: {count} pairs")
    return 0
