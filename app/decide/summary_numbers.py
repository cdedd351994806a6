"""Notices that the database was put back to an older state, by the numbers of the summaries, and lets the numbers go on without a repetition.

After a restore the numbers of the last summaries would be given a second time, and a reader who relies on "each summary has the
next number" could not notice that one is missing. So the highest numbers are also in a small file in `var_dir`, outside the
database. It is written after the commit: a file that knows of more than the database proves that the database is older. Where the
folder was put back too, a canary in the mailbox that the database does not know shows the same (`deliver/canary.py`).
"""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path

from app.context import AppContext
from app.core.log import log
from app.store.summaries import SummaryGap, jump_ahead, summary_numbers

FILE = "summary-numbers.json"
_MOST_BYTES = 4 * 1024 * 1024
_MOST_NUMBER = 1_000_000_000


async def keep_numbers(context: AppContext) -> list[SummaryGap]:
    """Let schedules go on after the numbers in the file, if the database is behind; then write the numbers of the database to the file."""
    path = context.settings.var_dir / FILE
    kept = await asyncio.to_thread(_read, path)
    async with context.database.read() as tx:
        stored = await summary_numbers(tx)
    ahead = {schedule_id: kept[schedule_id] for schedule_id in stored if kept.get(schedule_id, 0) > stored[schedule_id]}
    gaps: list[SummaryGap] = []
    if ahead:
        async with context.database.write() as tx:
            gaps = await jump_ahead(tx, ahead, context.clock())
    numbers = {**stored, **ahead}
    if numbers != kept:
        await asyncio.to_thread(_write, path, numbers)
    return gaps


def _read(path: Path) -> dict[str, int]:
    """Return the numbers in the file; none if there is no file, or if it holds anything else."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as cause:
        log.warning("the file with the numbers of summaries cannot be read; it is written again", cause=repr(cause))
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        schedule_id: number
        for schedule_id, number in found.items()
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _MOST_NUMBER
    }


def _write(path: Path, numbers: Mapping[str, int]) -> None:
    """Replace the file as a whole, so that a crash leaves the one before."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with new.open("w", encoding="ascii") as file:
            json.dump(numbers, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as cause:
        log.warning("the file with the numbers of summaries cannot be written", cause=repr(cause))
