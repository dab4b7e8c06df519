"""`table.md` and `table.tex`: the means of the twelve metrics, ready for a README or a paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fusion_ros.evaluation.scores import lower_is_better
from fusion_ros.evaluation.summary import best_of
from fusion_ros.metrics import METRICS, PROFILES


def header_of(score: str, profile: str) -> str:
    """What a column is: name, unit or scale, sum or mean, and which way is better."""
    arrow = "down" if lower_is_better(score) else "up"
    return f"{score} ({PROFILES[profile].header(score)}, {arrow})"


def markdown(summary: Mapping[str, Any]) -> str:
    """The table as Markdown; the best of each column among the modes that are not baselines is bold."""
    profile = summary["profile"]
    lines = [
        f"{summary['frames']} frames of {summary['input']}. Profile `{profile}`: {PROFILES[profile].description}. "
        "Means over frames; bold: best mode, baselines left out.",
        "",
        "| mode | " + " | ".join(header_of(score, profile) for score in METRICS) + " |",
        "|---" + "|---:" * len(METRICS) + "|",
    ]
    for mode, cells in _rows(summary).items():
        texts = [f"**{text}**" if is_best else text for text, is_best in cells]
        lines.append(f"| {_named(summary, mode)} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def latex(summary: Mapping[str, Any]) -> str:
    """The table as LaTeX for the package booktabs; the best of each column is bold."""
    profile = summary["profile"]
    heads = [rf"{score}$\{'down' if lower_is_better(score) else 'up'}arrow$" for score in METRICS]
    units = "; ".join(f"{score}: {PROFILES[profile].header(score)}" for score in METRICS)
    lines = [
        f"% Profile {profile}: {PROFILES[profile].description}. {units}.",
        f"% Means over {summary['frames']} frames of {_one_line(summary['input'])}; bold: best, baselines left out.",
        rf"\begin{{tabular}}{{l{'r' * len(METRICS)}}}",
        r"\toprule",
        "mode & " + " & ".join(heads) + r" \\",
        r"\midrule",
    ]
    for mode, cells in _rows(summary).items():
        texts = [rf"\textbf{{{text}}}" if is_best else text for text, is_best in cells]
        lines.append(f"{_escaped(_named(summary, mode))} & " + " & ".join(texts) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _rows(summary: Mapping[str, Any]) -> dict[str, list[tuple[str, bool]]]:
    modes = summary["modes"]
    means = {score: {mode: facts["mean"].get(score, math.nan) for mode, facts in modes.items()} for score in METRICS}
    # By value, so that modes that are equally good are all marked.
    best = {score: means[score].get(best_of(means[score], score) or "") for score in METRICS}
    rows: dict[str, list[tuple[str, bool]]] = {}
    for mode, facts in modes.items():
        rows[mode] = [
            (
                "-" if value is None else f"{value:.4g}",
                not facts["baseline"] and value is not None and value == best[score],
            )
            for score, value in ((score, facts["mean"].get(score)) for score in METRICS)
        ]
    return rows


def _named(summary: Mapping[str, Any], mode: str) -> str:
    return f"{mode} (baseline)" if summary["modes"][mode]["baseline"] else mode


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "&%$#_{}" else letter for letter in text)
