"""Claim: reading what a text means costs at most 0.3 ms for a subject and 3 ms for 64 KiB, in any language."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from app.intake.language.reader import read_words
from bench.claim import Claim, Figure, at_most
from bench.ground import Ground

SUBJECT_MS, LONG_MS = 0.3, 3.0
SIZE = 64 * 1024
_ROUNDS = 7
_SUBJECTS = (
    "Backup of web01 completed successfully, 12 sets stored",
    "[EXTERNAL] Fwd: job Docs finished with 3 warnings",
    "Kopie auf srv-3 fehlgeschlagen: der Datenträger ist voll",
    "Резервное копирование завершено без ошибок",
    "バックアップは正常に完了しました",
)
_LOGS = {
    "a log of files": ("- took in /srv/error/lost/{}.wav (8421 KB)\n", "archive sealed, nothing left out"),
    "a log with dates": (
        "2024-06-01 02:10:{:02} INFO backup.worker - block {} in segment 7 (9.1 MB/s)\n",
        "all stored",
    ),
    "German prose": (
        "Der Ordner {} wurde gelesen und liegt nun auf dem Band.\n",
        "Sicherung erfolgreich abgeschlossen",
    ),
}


def measure(_grounds: list[Ground]) -> Iterator[Claim]:
    """Read each text many times; the fastest round counts, as others on the machine only add to it."""
    for subject in _SUBJECTS:
        took = _fastest(partial(read_words, subject), 100)
        yield Claim(f"reading {subject!r}", Figure.of(took), "ms", target=at_most(SUBJECT_MS))
    for name, (line, end) in _LOGS.items():
        lines = "".join(line.format(number, number) for number in range(SIZE // len(line) + 1))
        body = lines[: SIZE - len(end) - 1] + "\n" + end
        took = _fastest(partial(read_words, "Nightly log", body), 3)
        yield Claim(f"reading 64 KiB of {name}", Figure.of(took), "ms", target=at_most(LONG_MS))


def _fastest(read: Callable[[], object], times: int) -> float:
    read()
    rounds = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        for _ in range(times):
            read()
        rounds.append((time.process_time() - started) / times)
    return min(rounds) * 1000
