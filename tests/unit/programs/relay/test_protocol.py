"""What relay and service exchange: either side may be older or newer than the other."""

import base64
import json

import pytest

from programs.protocol import relay as wire
from programs.protocol.checked import BadShape

MAIL = {
    "id": "msg_1",
    "token": "lse_1",
    "lease_s": 90,
    "recipient": "ann@example.org",
    "message_id": "<1@x>",
    "mime": base64.b64encode(b"Subject: x\r\n\r\n").decode("ascii"),
}


def as_bytes(values: object) -> bytes:
    return json.dumps(values).encode("ascii")


def test_a_relay_reads_an_older_and_a_newer_service():
    (older,) = wire.LeaseAnswer.from_json(as_bytes({"messages": [MAIL]})).messages
    newer = {"messages": [{**MAIL, "colour": "red"}], "wanted": {"is_paused": False, "songs": []}, "more": {"a": 1}}
    answer = wire.LeaseAnswer.from_json(as_bytes(newer))
    assert list(answer.messages) == [older]
    assert (older.is_alert, older.maybe_sent, older.has_other_way) == (False, False, False)
    assert answer.wanted == wire.RelayInstructions()


def test_a_service_reads_an_older_and_a_newer_relay():
    older = wire.RelayHeartbeat.from_json(as_bytes({"version": "0.1.0", "host": "MAIL01"}))
    newer = wire.RelayHeartbeat.from_json(as_bytes({"version": "0.1.0", "host": "MAIL01", "weather": {"sun": True}}))
    assert older == newer
    receipt = {"id": "msg_1", "token": "lse_1", "outcome": "sent", "mood": "good"}
    (read,) = wire.RelayReceipts.from_json(as_bytes({"receipts": [receipt]})).receipts
    assert (read.outcome, read.reason, read.evidence) == ("sent", "", {})


def test_the_largest_answer_to_a_lease_can_be_read():
    mail = wire.LeasedMail("msg_1", "t", 90, "a@example.org", "<1@x>", b"x" * wire.MIME_MOST)
    rest = wire.LeasedMail("msg_2", "t", 90, "a@example.org", "<2@x>", b"y" * (wire.LEASED_BYTES_MOST - wire.MIME_MOST))
    body = as_bytes(wire.LeaseAnswer([mail, rest]).as_json())
    assert len(body) < wire.ANSWER_MOST
    assert wire.LeaseAnswer.from_json(body).messages == [mail, rest]


@pytest.mark.parametrize("field", ["id", "token", "recipient"])
def test_a_message_without_what_it_needs_is_refused_by_name(field: str):
    with pytest.raises(BadShape) as refused:
        wire.LeaseAnswer.from_json(as_bytes({"messages": [{**MAIL, field: ""}]}))
    assert refused.value.field == field
