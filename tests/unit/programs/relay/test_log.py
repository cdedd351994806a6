"""The relay's log: nothing that the service or Windows answers can look like a line of ours."""

import logging
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.protocol.checked import one_line
from programs.protocol.relay import LeaseAnswer, ReceiptAnswer
from programs.relay.loop import OneLineFormatter, set_up_log

FORGED = "well\n2026-11-26 03:00:00,000 ERROR the account is CORP\\evil\r\n\x1b[2Jgone\u2028more\u202eesrever\x00"
_RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")


@given(st.text())
def test_any_text_becomes_one_visible_line(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len((line + "x").splitlines()) == 1
    if text.isprintable():
        assert line == text


@pytest.mark.parametrize("as_exception", [False, True])
def test_a_forged_text_stays_within_its_record(tmp_path: Path, as_exception: bool) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        set_up_log(tmp_path, console=False, event_log=False)
        log = logging.getLogger("tocsin.relay")
        log.warning("message %s: %s", "msg_1\nmsg_2", FORGED, exc_info=ValueError(FORGED) if as_exception else None)
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:], root.level = before
    first, *rest = (tmp_path / "relay.log").read_text(encoding="utf-8").splitlines()
    assert _RECORD.match(first)
    assert not [line for line in rest if not line.startswith("    ")], (
        "only a trace has more lines, and they are indented"
    )
    assert (len(rest) > 0) is as_exception
    assert "\x1b" not in first + "".join(rest)


def test_a_formatter_keeps_what_can_be_read() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "café ☕ %s", ("漢字",), None)
    assert OneLineFormatter("%(message)s").format(record) == "café ☕ 漢字"


def test_texts_of_the_service_are_on_one_line_when_they_are_read() -> None:
    wanted = LeaseAnswer.from_json(b'{"wanted": {"is_paused": true, "why": "a\\nb\\u001b[0m"}}').wanted
    assert wanted.why == "a\\nb\\x1b[0m"
    (answer,) = ReceiptAnswer.list_from_json(b'{"taken": [{"id": "m\\n1", "token": "t", "said": "x\\ry"}]}')
    assert (answer.id, answer.result) == ("m\\n1", "x\\ry")
