"""What the sender does first, and what it concludes where a relay ended in the middle of a message; its children are real, on a mailbox of files."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from programs.protocol.relay import LeaseClaim, LeasedMail
from programs.relay.conversation import SendPhase
from programs.relay.host_facts import HostFacts
from programs.relay.mail_clients import CLIENTS_KEY
from programs.relay.outcomes import RelayOutcome, RelayVerdict
from programs.relay.profile_check import Provider
from programs.relay.registry import OUR_KEY
from programs.relay.sender import SendingSetup, SpoolSender
from programs.relay.spool import RelaySpool
from programs.relay.watch import Deadlines
from tests.support.fake_hive import FakeHive
from tests.support.posix_children import PosixChildHost
from tests.support.relay_child import played

TIGHT = [Provider(33, 0x2, "01", "MSEMS", "Mailbox"), Provider(36, 0x100, "01", "MSEMS", "Transport", ordinal=0)]
FOUND = {"profiles": ["Backup"], "providers": [one.as_json() for one in TIGHT], "online": True}


def posted(number: int) -> LeasedMail:
    mime = b"Subject: x\r\nTo: a@example.org\r\n\r\nx\r\n"
    return LeasedMail(f"msg_{number}", "t", 60, "a@example.org", f"<{number}@x>", mime)


def _refuse(sender: SpoolSender, **codes: int) -> None:
    """Have the mailbox answer so from now on."""
    python, program, folder, _ = sender.setup.command
    command = [python, program, folder, json.dumps({"refuse": codes})]
    sender.setup = replace(sender.setup, command=command)


@pytest.fixture
def sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SpoolSender]:
    dll = tmp_path / "olmapi32.dll"
    dll.write_bytes(b"MZ" + bytes(58) + b"\x40\0\0\0" + b"PE\0\0\x64\x86")
    hive = FakeHive(
        {
            (64, OUR_KEY): {"MailClientsSupported": ["Microsoft Outlook"]},
            (64, f"{CLIENTS_KEY}\\Microsoft Outlook"): {"DLLPathEx": str(dll)},
        }
    )
    command = played(tmp_path / "mailbox", findings=FOUND)
    monkeypatch.setattr("sys.executable", str(dll))  # the played client is 64-bit, and so must this Python look

    def look(**known: str) -> HostFacts:
        return HostFacts(account="CORP\\relay", mapi_binding="played", **known)

    means = SendingSetup(
        hive, "Backup", command, Deadlines(logon=30, submit=30), drain=0.2, look=look, start=PosixChildHost().start
    )
    with closing(RelaySpool(tmp_path / "spool.db")) as spool:
        sender = SpoolSender(spool, means, threading.Event())
        assert sender.step(lambda _: False), "the doctor comes first"
        assert sender.paused_why == ""
        yield sender


def test_a_message_without_keys_that_ended_before_the_submission_surely_was_not_sent(sender: SpoolSender):
    """It cannot be looked for; that its submission never began is in the spool all the same."""
    sender.spool.take(posted(1))
    sender.spool.start("msg_1")
    sender.spool.note("msg_1", SendPhase("created"))
    sender.step(lambda _: False)
    verdict = sender.spool.find("msg_1").verdict
    assert (verdict.outcome, verdict.reason) == ("transient", "the relay ended before it submitted this")


def test_messages_in_doubt_do_not_hold_up_the_others(sender: SpoolSender):
    """Each look may take its whole deadline and come to nothing; an alert that waits has its turn between two of them."""
    for number in (1, 2, 3):
        sender.spool.take(posted(number))
        sender.spool.start(f"msg_{number}")
        sender.spool.note(f"msg_{number}", SendPhase("submitting", "00", "00"))
    _refuse(sender, find=0x80040115)
    sender.spool.take(posted(4))
    assert sender.spool.unbegun == 1, "what is in doubt takes no place of what is to be sent"
    begun: list[LeaseClaim] = []
    for _ in range(2):
        sender.step(lambda claim: begun.append(claim) is None)
    assert begun == [LeaseClaim("msg_4", "t")]


def test_a_message_stays_in_doubt_while_the_outbox_cannot_be_read(sender: SpoolSender):
    """The receipt must say that more will be known, or the service sends the mail by another way at once."""
    _refuse(sender, find=0x80040115)
    sender.spool.take(posted(1))
    sender.step(lambda _: True)
    found = sender.spool.find("msg_1")
    assert (found.verdict.outcome, found.verdict.evidence["looked"], found.is_final) == ("unknown", False, False)


def test_expected_trouble_makes_the_doctor_examine_again_but_not_all_the_time(sender: SpoolSender):
    looked_at = sender._looked_at
    sender.expect_trouble()
    assert sender._looked_at == looked_at, "it looked a moment ago"
    sender._looked_at -= 61
    sender.expect_trouble()
    sender.report = None
    assert sender.step(lambda _claim: True)
    assert sender.report is not None, "the doctor is due"


def test_a_pause_by_the_service_forbids_sending_but_not_looking(sender: SpoolSender):
    sender.spool.take(posted(1))
    assert sender.step(lambda _: True, may_send=False) is False
    sender.spool.start("msg_1")
    assert sender.step(lambda _: True, may_send=False) is True
    assert sender.spool.find("msg_1").verdict.outcome == RelayVerdict(RelayOutcome.TRANSIENT, "").outcome


def test_a_mail_program_that_starts_is_noticed_within_a_minute_of_sending(sender: SpoolSender):
    running: list[str] = []
    sender.setup = replace(sender.setup, look=lambda **_known: HostFacts(programs=tuple(running)))

    def answer_after(seconds: float) -> tuple[str, bool]:
        """Send a message this much later, and return the doctor's answer, and whether the report has a new time."""
        before, sender._saw_programs_at = sender.report_at, sender._saw_programs_at - seconds
        sender.spool.take(posted(sender.spool.waiting()[0] + 1))
        sender.step(lambda _claim: False)
        return next(
            line.state for line in sender.report.lines if line.name == "other mail clients"
        ), sender.report_at != before

    running.append("OUTLOOK.EXE")
    assert answer_after(30) == ("ok", False), "the last look was less than a minute ago"
    assert answer_after(31) == ("warning", True)
    assert answer_after(61) == ("warning", False), "nothing new, nothing to report"
    running.clear()
    assert answer_after(61) == ("ok", True)


def test_a_message_that_would_lose_characters_is_sent_only_where_it_has_no_other_way(sender: SpoolSender):
    python, program, folder, _ = sender.setup.command
    command = [python, program, folder, json.dumps({"characters_lost": 3})]
    sender.setup = replace(sender.setup, command=command)
    for number, has_other_way in ((1, True), (2, False)):
        sender.spool.take(replace(posted(number), has_other_way=has_other_way))
        sender.step(lambda _claim: True)
    outcomes = [sender.spool.find(f"msg_{number}").verdict.outcome for number in (1, 2)]
    assert outcomes == ["lost_characters", "sent"]


def test_a_host_that_fails_is_examined_again_after_waits_that_grow(sender: SpoolSender):
    """A failed logon is tried again by the doctor; too often, and Windows locks the account."""
    healthy = sender.setup
    _refuse(sender, open=0x80040111)
    sender.ask_doctor("it failed")
    sender.step(lambda _: True)
    waits = []
    for _ in range(6):
        assert "Can the relay log on without a window? No: " in sender.paused_why
        waited = 0
        while not sender.step(lambda _: True):
            waited += 30
            sender._looked_at -= 30
        waits.append(waited)
    assert waits == [60, 120, 300, 600, 600, 600]
    sender.setup = healthy
    sender.ask_doctor("repaired")
    sender.step(lambda _: True)
    assert (sender.paused_why, sender._failed) == ("", 0)


def test_a_message_that_may_still_leave_is_looked_at_briefly_and_taken_back_only_when_its_time_is_over(
    sender: SpoolSender,
):
    """A look must not hold up an alert for the minutes that a message may take to leave the Outbox."""
    python, program, folder, _ = sender.setup.command
    command = [python, program, folder, json.dumps({"drain": None, "hang": ["find"]})]
    sender.setup = replace(sender.setup, command=command, drain=0.5, deadlines=Deadlines(logon=30, submit=1, grace=0.1))
    sender.spool.take(posted(1))
    sender.step(lambda _: True)
    assert sender.spool.find("msg_1").verdict.outcome == "unknown"
    sender.setup = replace(sender.setup, command=[*command[:3], json.dumps({"drain": None})])
    sender.step(lambda _: True)
    found = sender.spool.find("msg_1")
    assert (found.verdict.outcome, found.is_final) == ("queued", False)
    assert sender.step(lambda _: True) is False, "it was looked at a moment ago"
    sender.spool._rows("UPDATE messages SET taken_at = taken_at - 3600, looked_at = 0")
    sender.step(lambda _: True)
    found = sender.spool.find("msg_1")
    assert (found.verdict.outcome, found.verdict.evidence["aborted"]) == ("stuck", True)
