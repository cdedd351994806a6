"""What a bench measures: a claim with our number, its limit, and whether it holds; and the table of them. It measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

_HEAD = ("claim", "ours", "limit or peer", "ratio", "target", "")


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim. `peer` is the limit or the peer, measured in the same run and unit; None where there is none.

    `ratio` is ours / peer. `at_least` and `at_most` bound it; without both the line only informs.
    """

    name: str
    ours: float
    unit: str
    peer: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def ratio(self) -> float | None:
        """Return our number divided by the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; None where there is no target."""
        ratio = self.ratio
        if ratio is None or (self.at_least is None and self.at_most is None):
            return None
        return (self.at_least is None or ratio >= self.at_least) and (self.at_most is None or ratio <= self.at_most)

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the cells of its row."""
        target = f">= {self.at_least:g}" if self.at_least is not None else ""
        target = f"<= {self.at_most:g}" if self.at_most is not None else target
        verdict = {True: "ok", False: "MISSED", None: ""}[self.holds]
        peer = "" if self.peer is None else f"{_number(self.peer)} {self.unit}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return (self.name, f"{_number(self.ours)} {self.unit}", peer, ratio, target, verdict)


def table(claims: Sequence[Claim]) -> str:
    """Return all claims as a table."""
    rows = [_HEAD, *(claim.cells for claim in claims)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004  (from here on, digits after the point say nothing)
