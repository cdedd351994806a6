"""What a bench measures: a claim with our figure, a limit or peer, and whether its target is met; and the table of them. It measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_HEAD = ("claim", "ours (spread)", "limit or peer", "ratio", "must reach", "aim", "")


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, once a round."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, *values: float) -> "Figure":
        """Return the figure of these rounds."""
        return cls(values)

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return median(self.values)

    def text(self, unit: str) -> str:
        """Return median and spread: `82 ms (79 - 91)`."""
        spread = f" ({_number(min(self.values))} - {_number(max(self.values))})" if len(self.values) > 1 else ""
        return f"{_number(self.median)} {unit}{spread}"


@dataclass(frozen=True, slots=True)
class Target:
    """What must be reached, and what is aimed at: in the unit of the claim, or `of_peer`, as a part of the peer's figure."""

    limit: float
    aim: float | None = None
    more_is_better: bool = True
    of_peer: bool = False

    def is_met(self, value: float, bound: float) -> bool:
        """Return whether the value is on the right side of the bound."""
        return value >= bound if self.more_is_better else value <= bound

    def text(self, bound: float | None, unit: str) -> str:
        """Return a bound as it stands in the table."""
        if bound is None:
            return ""
        sign = ">=" if self.more_is_better else "<="
        return f"{sign} {bound:g} of it" if self.of_peer else f"{sign} {_number(bound)} {unit}"


def at_least(limit: float, aim: float | None = None, *, of_peer: bool = False) -> Target:
    """Return the target of a figure of which more is better."""
    return Target(limit, aim, more_is_better=True, of_peer=of_peer)


def at_most(limit: float, aim: float | None = None, *, of_peer: bool = False) -> Target:
    """Return the target of a figure of which less is better."""
    return Target(limit, aim, more_is_better=False, of_peer=of_peer)


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim. `peer` is the limit or the peer, measured in the same run and unit; None where there is none.

    Without a target the line only informs.
    """

    name: str
    ours: Figure
    unit: str
    peer: Figure | None = None
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        """Return ours divided by the peer's: the median of the rounds, since a machine that is slow for a round is slow for both."""
        if self.peer is None or not all(self.peer.values):
            return None
        if len(self.ours.values) == len(self.peer.values):
            return median(ours / peer for ours, peer in zip(self.ours.values, self.peer.values, strict=True))
        return self.ours.median / self.peer.median

    @property
    def verdict(self) -> str:
        """Return `aim met`, `ok`, `MISSED`, or nothing where there is no target."""
        value = self.ratio if self.target is not None and self.target.of_peer else self.ours.median
        if self.target is None or value is None:
            return ""
        if not self.target.is_met(value, self.target.limit):
            return "MISSED"
        return "aim met" if self.target.aim is not None and self.target.is_met(value, self.target.aim) else "ok"

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the cells of its row."""
        peer = "" if self.peer is None else self.peer.text(self.unit)
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        target = self.target
        bounds = ("", "") if target is None else tuple(target.text(b, self.unit) for b in (target.limit, target.aim))
        return (self.name, self.ours.text(self.unit), peer, ratio, *bounds, self.verdict)


def table(claims: Sequence[Claim]) -> str:
    """Return all claims as a table."""
    rows = [_HEAD, *(claim.cells for claim in claims)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004  (from here on, digits after the point say nothing)
