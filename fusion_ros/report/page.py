"""The one page that every report is: tiles, tables, plots and pictures in a single self-contained HTML file."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from fusion_ros import __version__

Cell = str | int | float | Markup | None


@dataclass(frozen=True)
class Tile:
    """A number to see first; `note` is the small print, `tone` is empty, `good` or `bad`."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page with an anchor in the table of contents."""

    anchor: str
    heading: str
    body: Markup
    note: str = ""


@dataclass(frozen=True)
class Page:
    """A report before it is written.

    Attributes:
        title: title of the page.
        subtitle: one sentence on what was done.
        tiles: the summary.
        sections: the parts, in order.
        warnings: what did not go as asked; shown above everything else.
        links: (text, relative address) of files beside the report.
    """

    title: str
    subtitle: str
    tiles: Sequence[Tile] = ()
    sections: Sequence[Section] = ()
    warnings: Sequence[str] = ()
    links: Sequence[tuple[str, str]] = ()
    made: datetime = field(default_factory=lambda: datetime.now(timezone.utc))


@dataclass(frozen=True)
class Table:
    """Rows of text, numbers or markup. Numbers are shown with `digits` decimals and sort as numbers.

    Attributes:
        headers: column names.
        rows: as many cells a row as there are headers.
        caption: what the table says, shown above it.
        best: by column index `max` or `min`: the best number of the column is marked.
        sortable: column heads become buttons that sort.
        digits: decimals of floats.
        unranked: indices of rows that cannot be the best, such as baselines.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    best: dict[int, str] = field(default_factory=dict)
    sortable: bool = True
    digits: int = 3
    unranked: Container[int] = ()

    def render(self) -> Markup:
        """The table as HTML."""
        return Markup(
            _environment()
            .get_template("table.html.j2")
            .render(table=self, cells=self._cells(), is_number=self._number_columns())
        )

    def _cells(self) -> list[list[dict[str, object]]]:
        is_number = self._number_columns()
        best = {column: self._best_value(column, wanted) for column, wanted in self.best.items()}
        return [
            [
                self._cell(value, None if index in self.unranked else best.get(column), is_number[column])
                for column, value in enumerate(row)
            ]
            for index, row in enumerate(self.rows)
        ]

    def _number_columns(self) -> list[bool]:
        return [any(isinstance(row[column], int | float) for row in self.rows) for column in range(len(self.headers))]

    def _best_value(self, column: int, wanted: str) -> float | None:
        numbers = [row[column] for index, row in enumerate(self.rows) if index not in self.unranked]
        values = [number for number in numbers if isinstance(number, int | float) and number == number]
        if not values:
            return None
        return max(values) if wanted == "max" else min(values)

    def _cell(self, value: Cell, best: float | None, in_numbers: bool) -> dict[str, object]:
        if value is None or value != value:
            return {"text": "-", "sort": "", "number": in_numbers, "best": False}
        if isinstance(value, float):
            return {"text": f"{value:.{self.digits}f}", "sort": repr(value), "number": True, "best": value == best}
        if isinstance(value, int):
            return {"text": str(value), "sort": str(value), "number": True, "best": value == best}
        return {"text": value, "sort": "", "number": False, "best": False}


def render_page(page: Page) -> str:
    """The page as HTML text; nothing in it is fetched from anywhere."""
    folder = _templates()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            version=__version__,
            style=Markup((folder / "page.css").read_text(encoding="utf-8")),
            script=Markup((folder / "page.js").read_text(encoding="utf-8")),
        )
    )


def write_page(page: Page, path: Path) -> None:
    """Write the page; a report that was there stays until the new one is complete."""
    partial = path.with_suffix(".part")
    partial.write_text(render_page(page), encoding="utf-8")
    partial.replace(path)


def details(summary: str, body: Markup, *, is_open: bool = False) -> Markup:
    """A part that folds away."""
    state = Markup(" open") if is_open else Markup("")
    return Markup("<details{}><summary>{}</summary>{}</details>").format(state, summary, body)


def _templates() -> Path:
    return Path(__file__).parent / "templates"


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_templates()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
