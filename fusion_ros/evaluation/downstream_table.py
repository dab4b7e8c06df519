"""The comparison of inputs as text: one table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def markdown_of(result: Mapping[str, Any]) -> str:
    """One row for each light and input, then the gain of `auto`; see `compare_inputs` for the figures."""
    by_light: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]] = result["conditions"]
    names = list(dict.fromkeys(name for rows in by_light.values() for row in rows.values() for name in row))
    names = [name for name in names if name != "miss rate"] + [name for name in names if name == "miss rate"]
    lines = [
        f"{result['images']} pairs ({', '.join(f'{count} {name}' for name, count in result['boxes'].items())}), "
        f"{result['masked']} with masks; 95% bootstrap intervals over images in brackets.",
        "",
        "| light | input | " + " | ".join(names) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for light, rows in by_light.items():
        for kind, row in rows.items():
            cells = " | ".join(_cell(row.get(name)) for name in names)
            lines.append(f"| {light} | {kind} | {cells} |")
    lines.append("")
    for light, gain in result["gain"].items():
        chosen = ", ".join(f"{mode} {count}" for mode, count in result["modes"][light].items())
        lines.append(f"- {light}: auto ({chosen}) less the better of rgb and thermal: mAP50 {_cell(gain)}")
    return "\n".join(lines) + "\n"


def _cell(figure: Sequence[float] | None) -> str:
    if figure is None:
        return ""
    value = f"{figure[0]:.3f}"
    return f"{value} [{figure[1]:.3f}, {figure[2]:.3f}]" if len(figure) == 3 else value
