"""A log that cannot be written costs lines, never the work that logs: its disk may be full, or its reader gone."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest

from app.core import metrics
from app.core.log import StreamLogger
from tests.support.sources import ROOT


@pytest.fixture(params=["full", "nobody reads it", "closed"])
def broken(request: pytest.FixtureRequest) -> Iterator[TextIO]:
    match request.param:
        case "full":
            stream = open("/dev/full", "w")  # noqa: SIM115, PTH123  (closed below)
        case "nobody reads it":
            reading, writing = os.pipe()
            os.close(reading)
            stream = os.fdopen(writing, "w")
        case _:
            stream = open(os.devnull, "w")  # noqa: SIM115, PTH123
            stream.close()
    yield stream
    with contextlib.suppress(OSError):  # what is left in its buffer
        stream.close()


def test_a_log_that_cannot_be_written_raises_nothing(broken: TextIO) -> None:
    def lost() -> float:
        return metrics.LOG_LINES_LOST._value.get()

    before = lost()
    logger = StreamLogger(broken)
    for _ in range(1000):  # more than any buffer holds
        logger.error("x" * 100)
    assert lost() == before + 1000


def test_what_a_command_logs_is_not_in_its_output() -> None:
    """As in `KEY=$(tocsin keys create viewer)` while a transaction of the command is slow, which is logged."""
    code = "from app.core.log import log; log.warning('slow'); print('tocsin_viewer_x')"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "tocsin_viewer_x\n"
    assert "slow" in ran.stderr
