"""The process that reads reports for the service: it takes calls from stdin and answers on stdout.

A call is a pickled function of ours without arguments, and its answer is pickled too; before each stands its length, and before a call the CPU time
that it may take. Both ends are our code.
"""

import os
import pickle
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from app.core.errors import BadInput
from app.core.garbage import freeze_loaded
from app.core.log import set_up_log
from app.core.settings import load_settings
from app.intake.language.reader import load_words

T = TypeVar("T")

LENGTH = struct.Struct(">Q")
CALL = struct.Struct(">Qd")
CPU_S = 5.0  # for one call; the worst report or body of 16 MiB takes less than 3 s
BYTES_A_SECOND = 16 * 1024 * 1024  # of a call: each adds to its time, as a setting allows bodies of 256 MiB
MEMORY_MOST = 2 * 1024 * 1024 * 1024  # of addresses, far more than a report needs
MEMORY_A_BYTE = 24  # of the largest body: 16 MiB of JSON take up to 300 MiB


class TookTooLong(BaseException):
    """A call used more CPU time than it may. Not an Exception: no error boundary within the call catches it."""


class Pieces(tuple[T, ...]):
    """A large answer. Each piece is sent by itself: to load all at once would hold the event loop of the service."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class PiecesFollow:
    """Stands for an answer whose pieces are sent next."""

    count: int


@dataclass(frozen=True, slots=True)
class StoppedAfter:
    """Stands for the answer to a call that used more CPU time than it may."""

    seconds: float


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Say that this process is ready, by an empty frame; then answer calls until the service closes its end."""
    target.write(LENGTH.pack(0))
    target.flush()
    while len(head := source.read(CALL.size)) == CALL.size:
        length, seconds = CALL.unpack(head)
        target.writelines(LENGTH.pack(len(answer)) + answer for answer in _answer(source.read(length), seconds))
        target.flush()


def cpu_seconds(call: bytes, patience: float) -> float:
    """Return how long a call may take."""
    return (CPU_S + len(call) / BYTES_A_SECOND) * patience


def _answer(call: bytes, seconds: float) -> Iterator[bytes]:
    work: Callable[[], object] = pickle.loads(call)  # noqa: S301  (from the service)
    try:
        answer = _call(work, seconds)
        pieces = list(map(pickle.dumps, answer)) if isinstance(answer, Pieces) else []
        yield pickle.dumps((True, PiecesFollow(len(pieces)) if isinstance(answer, Pieces) else answer))
        yield from pieces
    except BadInput as cause:
        yield pickle.dumps((False, cause))
    except TookTooLong:
        yield pickle.dumps((False, StoppedAfter(seconds)))
    except (MemoryError, RecursionError) as cause:
        yield pickle.dumps((False, f"it cannot be read: {type(cause).__name__}"))


def _call(work: Callable[[], object], seconds: float) -> object:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _stop_call(*_: object) -> None:
    raise TookTooLong


def main() -> None:
    """Load what reading needs, then serve."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the service closes its end when it stops
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, _stop_call)
    settings = load_settings()
    memory = max(MEMORY_MOST, MEMORY_A_BYTE * settings.batch_limit)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    set_up_log(settings)
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr  # a stray print must not mix with the answers
    load_words()
    freeze_loaded()
    serve(sys.stdin.buffer, target)
