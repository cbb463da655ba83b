"""Rows of measurements and the Markdown table they are printed as."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound that our value should keep: at least `least`, or at most `most`."""

    least: float | None = None
    most: float | None = None

    def met_by(self, value: float) -> bool:
        """Whether `value` is within the bound."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        return f">= {_number(self.least)}" if self.least is not None else f"<= {_number(self.most)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured quantity. None stands for "not measured"; `note` then says why.

    spread   least and greatest of our samples, where there are several
    """

    what: str
    unit: str
    ours: float | None
    go: float | None = None
    goal: Goal | None = None
    spread: tuple[float, float] | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """met, missed, or nothing where there is no goal."""
        if self.goal is None or self.ours is None:
            return ""
        return "met" if self.goal.met_by(self.ours) else "**missed**"


def markdown(rows: Iterable[Row]) -> str:
    """The table, columns padded so that it reads as plain text too."""
    head = ("measured", "ours", "least .. greatest", "Go", "unit", "goal", "", "note")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join((lines[0], rule, *lines[1:]))


def _cells(row: Row) -> tuple[str, ...]:
    spread = "" if row.spread is None else f"{_number(row.spread[0])} .. {_number(row.spread[1])}"
    goal = "" if row.goal is None else str(row.goal)
    return (row.what, _number(row.ours), spread, _number(row.go), row.unit, goal, row.verdict, row.note)


def _number(value: float | None) -> str:
    """Three significant digits, thousands separated."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
