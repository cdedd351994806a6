"""Score the reader on labelled texts: `python -m tests.unit.intake.language.score [CODE ...]` prints the figures and each wrong row."""

import csv
import functools
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.intake.language.reader import Reading, read_words

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True, slots=True)
class Case:
    """A text with the outcome that a careful administrator would record from its words alone."""

    id: str
    language: str
    kind: str
    subject: str
    body: str
    outcome: str
    also_ok: frozenset[str]
    harm: str
    why: str


@dataclass(frozen=True, slots=True)
class Result:
    """A case and how it was read. A text that announces a start says nothing of an outcome: it counts as unclear."""

    case: Case
    reading: Reading

    @property
    def read(self) -> str:
        return "unclear" if self.reading.meaning == "started" else self.reading.meaning.value

    @property
    def right(self) -> bool:
        return self.read == self.case.outcome or self.read in self.case.also_ok

    @property
    def hides_loss(self) -> bool:
        """A text that is no success, and of which none would say so, was read as success."""
        return self.case.harm == "silent-loss" and self.read == "success"

    @property
    def false_alarm(self) -> bool:
        return self.case.outcome == "success" and not self.right and self.read != "unclear"

    @property
    def clear(self) -> bool:
        return self.case.outcome != "unclear" and "unclear" not in self.case.also_ok

    @property
    def undecided(self) -> bool:
        return self.clear and self.read == "unclear"

    @property
    def good_from_nothing(self) -> bool:
        return self.case.outcome == "unclear" and "success" not in self.case.also_ok and self.read == "success"


def read_cases(path: Path) -> Iterator[Case]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True):
            yield Case(
                id=row["id"],
                language=row["language"],
                kind=row["kind"],
                subject=row["subject"],
                body=row["body"].replace("\\n", "\n"),
                outcome=row["outcome"],
                also_ok=frozenset(filter(None, row["also_ok"].split(","))),
                harm=row["harm"],
                why=row["why"],
            )


def all_cases() -> list[Case]:
    return [case for path in sorted(CASES.glob("*.tsv")) for case in read_cases(path)]


@functools.cache
def all_results() -> list[Result]:
    return [Result(case, read_words(case.subject, case.body)) for case in all_cases()]


def table(results: Iterable[Result], group: Callable[[Case], str]) -> str:
    """Return the figures for each group, and for all, as lines of text."""
    counts: dict[str, Counter[str]] = {}
    for result in results:
        for name in (group(result.case), "all"):
            counts.setdefault(name, Counter()).update(
                {
                    "texts": 1,
                    "right": result.right,
                    "losses": result.case.harm == "silent-loss",
                    "hidden": result.hides_loss,
                    "good": result.case.outcome == "success",
                    "alarms": result.false_alarm,
                    "clear": result.clear,
                    "undecided": result.undecided,
                    "from nothing": result.good_from_nothing,
                }
            )
    lines = [f"{'':22}{'texts':>6}{'right':>7}{'losses hidden':>15}{'false alarms':>14}{'clear, but unclear':>20}"]
    for name in [*sorted(set(counts) - {"all"}), "all"]:
        count = counts.get(name, Counter())
        lines.append(
            f"{name:22}{count['texts']:6}{count['right']:7}"
            f"{count['hidden']:7} of {count['losses']:<4}{count['alarms']:7} of {count['good']:<4}"
            f"{count['undecided']:9} of {count['clear']:<5}"
        )
    return "\n".join(lines)


def main() -> None:
    codes = set(sys.argv[1:])
    results = [result for result in all_results() if not codes or result.case.language in codes]
    for result in results:
        if not result.right:
            case, reading = result.case, result.reading
            mark = "LOSS" if result.hides_loss else "ALARM" if result.false_alarm else "-"
            expected = "|".join([case.outcome, *sorted(case.also_ok)])
            body = f" // {case.body[:200]!r}" if case.body else ""
            sys.stdout.write(
                f"{mark:6}{case.id} {case.language} {case.kind}: {case.subject}{body}\n"
                f"      expected {expected}, read {result.read}, rule {reading.rule!r}, words {reading.words!r}\n"
            )
    for group in ((lambda case: case.language), (lambda case: case.kind)):
        sys.stdout.write("\n" + table(results, group) + "\n")


if __name__ == "__main__":
    main()
