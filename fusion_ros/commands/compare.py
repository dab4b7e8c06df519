"""`fusion-ros compare A B`: two evaluations of the same frames, with confidence intervals."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fusion_ros.configuration import configure, settings_of
from fusion_ros.errors import InputError
from fusion_ros.evaluation.comparison import ComparisonConfig, Difference
from fusion_ros.metrics import METRICS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of `ComparisonConfig` have its defaults."""
    for name in ("A", "B"):
        parser.add_argument(
            name.lower(),
            metavar=name,
            type=Path,
            help="summary.json of an evaluation (or its folder), frames.csv beside it",
        )
    parser.add_argument(
        "--modes", metavar="A:B,...", help="modes to compare: one name, or A:B for two names (those that both have)"
    )
    parser.add_argument(
        "--scores", default=",".join(METRICS), metavar="S,S", help="columns of frames.csv (%(default)s)"
    )
    for found in settings_of(ComparisonConfig):
        kind = type(found.default)
        text = f"{found.description}; {found.allowed} ({found.default})"
        parser.add_argument(f"--{found.name}", type=kind, metavar=kind.__name__.upper(), help=text)
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Compare and print one line for each mode and score.

    Raises:
        InputError: the two cannot be compared.
    """
    from fusion_ros.evaluation.comparison import as_json, compare, note_on_inputs

    names = [found.name for found in settings_of(ComparisonConfig)]
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    config = configure(ComparisonConfig, given)
    scores = [word.strip() for word in arguments.scores.split(",") if word.strip()]
    modes = _modes(arguments.modes) if arguments.modes else None
    differences = compare(arguments.a, arguments.b, scores, modes, config)
    if note := note_on_inputs(arguments.a, arguments.b):
        print(f"note: {note}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(as_json(differences, config), allow_nan=False))
    else:
        _print_table(differences, config)
    return 0


def _modes(text: str) -> dict[str, str]:
    modes: dict[str, str] = {}
    for word in text.split(","):
        first, separator, second = word.strip().partition(":")
        if not first or (separator and not second):
            raise InputError(f"--modes {text!r}: is not a list of NAME or A:B")
        modes[first] = second or first
    return modes


def _print_table(differences: list[Difference], config: ComparisonConfig) -> None:
    width = max((len(f"{d.mode} -> {d.other_mode}") for d in differences), default=4)
    interval = f"{config.confidence:.4g} interval"
    print(f"{'mode':{width}}  {'score':15} {'frames':>6} {'A':>10} {'B':>10} {'B - A':>10}  {interval:>23}  B is")
    for d in differences:
        name = d.mode if d.mode == d.other_mode else f"{d.mode} -> {d.other_mode}"
        span = f"{d.low:+.4g} to {d.high:+.4g}"
        print(
            f"{name:{width}}  {d.score:15} {d.frames:6d} {d.a:10.4g} {d.b:10.4g} {d.difference:+10.4g}  {span:>23}  "
            f"{d.verdict}"
        )
