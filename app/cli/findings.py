"""What `tocsin doctor` found, as lines for people and as a document for programs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

# What is checked at each call. A program finds one of these codes in each document, with the state `ok` where nothing was found.
CODES = (
    "access", "agents", "canary", "composing", "database", "disk", "dkim", "events", "expectations", "heartbeat", "mail", "mail server",
    "messages", "recipients", "relay", "returned mail", "routes", "rows", "summaries", "worker",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """Something that is wrong, or good to know. `remedy`: what to do; without one, the text says it, or there is nothing to do.

    A text that ends with a colon leads to its remedy.
    """

    code: str
    text: str
    remedy: str | None = None

    @property
    def line(self) -> str:
        """The whole on one line, however many a mail server answered: no answer may look like a line of ours."""
        return " ".join(f"{self.text} {self.remedy or ''}".split())


@dataclass(frozen=True, slots=True)
class DoctorFindings:
    """What is wrong, and what is only good to know."""

    wrong: tuple[DoctorFinding, ...]
    notes: tuple[DoctorFinding, ...]


def as_lines(wrong: Sequence[DoctorFinding], notes: Sequence[DoctorFinding], well: Sequence[DoctorFinding] = ()) -> str:
    """Return the lines for people."""
    lines = [*(f"! {finding.line}" for finding in wrong), *(f"- {finding.line}" for finding in (*notes, *well))]
    ending = "" if len(wrong) == 1 else "s"
    lines.append(f"{len(wrong)} problem{ending} found." if wrong else "Nothing is wrong.")
    return "\n".join(lines)


def as_document(
    wrong: Sequence[DoctorFinding], notes: Sequence[DoctorFinding], well: Sequence[DoctorFinding] = ()
) -> str:
    """Return `{"state", "problems", "checks": [{"code", "state", "text", "remedy"}]}`. Fields may be added, never renamed or removed."""
    checks = [*(_check(finding, "problem") for finding in wrong), *(_check(finding, "note") for finding in notes)]
    checks += [_check(finding, "ok") for finding in well]
    found = {finding.code for finding in wrong}
    checks += [
        {"code": code, "state": "ok", "text": "Nothing is wrong.", "remedy": None}
        for code in CODES
        if code not in found
    ]
    state = "problem" if wrong else "ok"
    return json.dumps({"state": state, "problems": len(wrong), "checks": checks}, indent=2, ensure_ascii=False)


def _check(finding: DoctorFinding, state: str) -> dict[str, str | None]:
    text = " ".join(finding.text.split())
    text = f"{text[:-1]}." if text.endswith(":") else text
    return {"code": finding.code, "state": state, "text": text, "remedy": finding.remedy or None}
