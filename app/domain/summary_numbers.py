"""The numbers of summaries that a canary mail carries in its headers, each signed, as `sch_... 42 signature`. Pure.

A mailbox is outside the database and its backups. A canary in it that the database does not know, because the database was put back
to an older state, shows which summaries were sent before.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

HEADER = "X-Tocsin-Summary"
PURPOSE = "summary-numbers"  # of the derived secret (`Secret.derive`)
MOST = 50  # schedules in one mail
_VALUE = re.compile(r"(sch_[0-9a-f]{28}) ([0-9]{1,9}) ([0-9a-f]{32})")


def sign_numbers(secret: bytes, numbers: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    """Return headers with the number of the newest summary of each schedule that has one."""
    made = [(schedule_id, number) for schedule_id, number in sorted(numbers.items()) if number][:MOST]
    return tuple(
        (HEADER, f"{schedule_id} {number} {_sign(secret, schedule_id, number)}") for schedule_id, number in made
    )


def read_numbers(secret: bytes, values: Iterable[str]) -> dict[str, int]:
    """Return the highest number of each schedule in these headers whose signature is ours."""
    found: dict[str, int] = {}
    for value in values:
        match = _VALUE.fullmatch(" ".join(value[:200].split()))
        if match is None:
            continue
        schedule_id, number = match[1], int(match[2])
        if hmac.compare_digest(_sign(secret, schedule_id, number), match[3]):
            found[schedule_id] = max(number, found.get(schedule_id, 0))
    return found


def _sign(secret: bytes, schedule_id: str, number: int) -> str:
    return hmac.digest(secret, f"{schedule_id} {number}".encode(), hashlib.sha256).hex()[:32]
