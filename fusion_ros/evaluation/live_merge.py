"""Puts the replays of several modes side by side: rows and answers of the frames that every one of them delivered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusion_ros.evaluation.contenders import BASELINES
from fusion_ros.evaluation.frames_file import FramesTable, FramesWriter, read_frames
from fusion_ros.evaluation.scores import SCORES, Scored


def merge_rows(files: Sequence[Path], modes: Sequence[str], out: Path) -> int:
    """Append the rows of all modes, then the baselines, which are those of the first mode's replay.

    Only frames of all replays are taken, so that every mean is over the same frames.

    Args:
        files: of each mode, with the rows of the mode and of the baselines.
        modes: labels, in the order of `files`.
        out: file with its header.

    Returns:
        How many frames were in some of the replays only.
    """
    tables = [read_frames(file) for file in files]
    positions = [{frame.key: index for index, frame in enumerate(table.frames)} for table in tables]
    everywhere = set.intersection(*(set(known) for known in positions))
    anywhere = set.union(*(set(known) for known in positions))
    with FramesWriter(out) as writer:
        for facts in tables[0].frames:
            if facts.key not in everywhere:
                continue
            rows = [
                _row(table, known[facts.key], mode) for table, known, mode in zip(tables, positions, modes, strict=True)
            ]
            rows += [_row(tables[0], positions[0][facts.key], mode) for mode in BASELINES if mode in tables[0].modes]
            writer.write(facts, rows)
    return len(anywhere) - len(everywhere)


def _row(table: FramesTable, index: int, mode: str) -> Scored:
    values = dict(zip(SCORES, (float(value) for value in table.values[mode][index]), strict=True))
    return Scored(mode, table.used[mode][index], table.reasons[mode][index], values)


def merge_found(files: Sequence[Path], modes: Sequence[str], out: Path) -> None:
    """Merge what was found on the labelled frames likewise."""
    by_mode = [_lines(file) for file in files]
    out.unlink(missing_ok=True)
    if not any(by_mode):
        return
    with out.open("w", encoding="utf-8") as file:
        for key, line in by_mode[0].items():
            if not all(key in lines for lines in by_mode):
                continue
            for part in ("found", "confusion"):
                if part in line:
                    own = {mode: lines[key][part][mode] for mode, lines in zip(modes, by_mode, strict=True)}
                    line[part] = own | {mode: line[part][mode] for mode in BASELINES if mode in line[part]}
            file.write(json.dumps(line) + "\n")


def _lines(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    lines = (json.loads(text) for text in file.read_text(encoding="utf-8").splitlines())
    return {line["frame"]: line for line in lines}
