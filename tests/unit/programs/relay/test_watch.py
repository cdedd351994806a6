"""Watches real children on a mailbox of files: every way they end, and that the spool hears of each step before it is taken."""

import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from programs.protocol import relay as wire
from programs.protocol.relay import ASKED_MOST
from programs.relay.child_process import ShownWindow
from programs.relay.conversation import ChildOrder, SendPhase
from programs.relay.outcomes import RelayOutcome, RelayVerdict, after_restart, settle_doubt
from programs.relay.watch import Deadlines, watch
from tests.support.posix_children import PosixChildHost
from tests.support.relay_child import played

MAIL = (
    b"From: a@example.com\r\nTo: Ops <ops@example.com>\r\nSubject: FAILED nightly\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n"
)
SHORT = Deadlines(submit=1.5, grace=1.0, stopping=0.5)  # for what hangs; a Python may take its time to start


class Run:
    """One mailbox, and the phases that the spool would hold."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.phases: list[SendPhase] = []
        self.stop = threading.Event()
        self.windows: list[ShownWindow] = []

    def send(self, order: ChildOrder | None = None, deadlines: Deadlines | None = None, **script) -> RelayVerdict:
        hangs = script.get("hang", ())
        deadlines = deadlines or (replace(SHORT, logon=5.0 if "open" in hangs else 60.0) if hangs else Deadlines())
        order = order or ChildOrder(mode="send", profile="Backup", mime=MAIL, recipient="ops@example.com", drain=0.5)
        start = PosixChildHost(lambda: self.windows).start
        command = played(self.folder, **script)
        return watch(order, command=command, deadlines=deadlines, on_phase=self.note, stop=self.stop, start=start)

    def note(self, phase: SendPhase) -> None:
        self.phases.append(phase)

    def look(self, wait: float = 0.0, *, abort: bool = False, **script) -> RelayVerdict:
        keys = next(phase for phase in self.phases if phase.name == "created")
        order = ChildOrder(mode="reconcile", search_key=keys.search_key, entryid=keys.entryid, drain=wait, abort=abort)
        return self.send(order, **script)

    @property
    def names(self) -> list[str]:
        return [phase.name for phase in self.phases]

    def count(self, folder: str) -> int:
        return len(list((self.folder / folder).glob("*.json")))


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_a_message_that_left_the_outbox_is_proven_by_its_copy(run):
    verdict = run.send()
    assert (verdict.outcome, verdict.evidence["proof"]) == ("sent", "found in Sent Items")
    assert run.names == ["logon", "opened", "created", "submitting", "submitted", "left_outbox"]
    assert verdict.evidence["search_key"] == run.phases[2].search_key
    assert (run.count("sent"), run.count("outbox")) == (1, 0)


def test_a_missing_copy_does_not_make_a_message_that_left_the_outbox_doubtful(run):
    verdict = run.send(keeps_copies=False)
    assert (verdict.outcome, verdict.evidence["proof"]) == ("sent", "left the Outbox")


def test_what_the_spooler_took_is_handed_over_and_never_called_sent(run):
    verdict = run.send(is_tight=False)
    assert (verdict.outcome, verdict.evidence["proof"]) == ("handed_over", "none")
    assert "unproven" in verdict.reason
    assert "left_outbox" not in run.names, "a child that is killed now must not count as proof either"
    assert settle_doubt(after_restart(), run.look(is_tight=False)).outcome == "handed_over"


def test_a_message_that_would_lose_characters_goes_another_way_if_there_is_one(run):
    order = ChildOrder(mode="send", profile="Backup", mime=MAIL, recipient="ops@example.com", has_other_way=True)
    verdict = run.send(order, characters_lost=2)
    assert (verdict.outcome, verdict.evidence["characters_lost"]) == ("lost_characters", 2)
    assert (run.count("outbox"), run.count("sent"), "submitting" in run.names) == (0, 0, False)


def test_a_message_that_would_lose_characters_leaves_and_says_so_where_no_other_way_exists(run):
    verdict = run.send(characters_lost=2)
    assert (verdict.outcome, verdict.evidence["characters_lost"]) == ("sent", 2)


def test_a_stuck_message_is_taken_back_and_gone(run):
    verdict = run.send(drain=None)
    assert (verdict.outcome, verdict.evidence["aborted"]) == ("stuck", True)
    assert (run.count("outbox"), run.count("delivered")) == (0, 0)


def test_a_stuck_message_that_cannot_be_taken_back_says_so(run):
    verdict = run.send(drain=None, refuse={"abort": 0x80040114})
    assert (verdict.outcome, verdict.evidence["aborted"]) == ("stuck", False)
    assert "MAPI_E_UNABLE_TO_ABORT" in verdict.evidence["abort"]


@pytest.mark.parametrize(
    ("method", "code", "outcome"),
    [
        ("open", 0x8004010F, "profile_missing"),
        ("open", 0x80040111, "logon_failed"),
        ("open", 0x8004010B, "transient"),
        ("create", 0x8004010F, "transient"),
        ("submit", 0x80040607, "bad_recipient"),
        ("submit", 0x80040115, "transient"),
    ],
)
def test_a_refusal_is_judged_by_its_code_and_leaves_nothing_behind(run, method, code, outcome):
    verdict = run.send(refuse={method: code})
    assert verdict.outcome == outcome
    assert verdict.evidence["hresult"] == f"0x{code:08X}"
    assert (run.count("outbox"), run.count("sent")) == (0, 0)


def test_already_submitted_is_looked_for_and_never_sent_again(run):
    verdict = run.send(refuse={"submit": 0x80040608})
    assert verdict.outcome == "unknown"


@pytest.mark.parametrize("method", ["open", "create"])
def test_a_child_that_hangs_before_submit_is_killed_and_may_be_tried_again(run, method):
    verdict = run.send(hang=[method])
    assert verdict.outcome == "timeout"
    assert "submitting" not in run.names


@pytest.mark.parametrize("method", ["submit", "submitted", "find"])
def test_a_child_killed_from_submit_on_is_in_doubt_and_the_look_settles_it(run, method):
    doubt = run.send(hang=[method], drain=0.2)
    assert (doubt.outcome, doubt.cause) == ("unknown", "timeout")
    looked = run.look(2.0)
    settled = settle_doubt(doubt, looked)
    if method == "submit":
        assert settled.outcome == "timeout"
        assert (run.count("outbox"), run.count("sent")) == (0, 0)
    else:
        assert (settled.outcome, settled.evidence["proof"]) == ("sent", "found in Sent Items")
        assert run.count("delivered") == 1


def test_a_look_at_a_message_that_still_waits_reports_queued_and_leaves_it(run):
    run.send(end=["submitted"], drain=None)
    settled = settle_doubt(after_restart(), run.look(drain=None))
    assert settled.outcome == "queued"
    assert run.count("outbox") == 1


def test_a_look_that_failed_is_repeated_later(run):
    doubt = run.send(end=["submitted"])
    settled = settle_doubt(doubt, run.look(hang=["open"]))
    assert (settled.outcome, settled.evidence["looked"]) == ("unknown", False)
    settled = settle_doubt(settled, run.look())
    assert settled.outcome == "sent"


def test_failed_looks_of_a_whole_day_do_not_make_the_reason_long():
    doubt = after_restart()
    for _ in range(1440):
        doubt = settle_doubt(doubt, RelayVerdict(RelayOutcome.LOGON_FAILED, "MAPILogonEx: MAPI_E_LOGON_FAILED"))
    assert (
        doubt.reason == "the relay ended while it sent this; the look for it failed: MAPILogonEx: MAPI_E_LOGON_FAILED"
    )
    found = settle_doubt(doubt, RelayVerdict(RelayOutcome.SENT, "it left the Outbox"))
    assert found.reason == "the relay ended while it sent this; then it left the Outbox"


def test_receipts_with_any_text_are_within_the_limits_of_the_service():
    many = [
        wire.RelayReceipt(f"msg_{number}", "t", "unknown", "w" * 100_000, {"looked": False}) for number in range(50)
    ]
    assert len(json.dumps(wire.RelayReceipts(many).as_json())) < ASKED_MOST


def test_found_nowhere_stays_unknown_and_is_not_to_be_looked_for_again(run):
    doubt = run.send(end=["submitted"], keeps_copies=False)
    settled = settle_doubt(doubt, run.look(keeps_copies=False))
    assert (settled.outcome, settled.evidence["looked"]) == ("unknown", True)


def test_a_window_ends_the_child_and_its_title_is_kept(run):
    run.windows.append(ShownWindow("#32770", "Choose Profile"))
    verdict = run.send(hang=["open"], deadlines=Deadlines())
    assert verdict.outcome == "needs_ui"
    assert verdict.evidence["windows"] == [{"kind": "#32770", "title": "Choose Profile"}]
    assert verdict.evidence["seconds"] < 30


def test_a_window_at_submit_leaves_a_doubt(run):
    def note(phase):
        run.phases.append(phase)
        if phase.name == "submitting":
            run.windows.append(ShownWindow("#32770", "Allow access?"))

    run.note = note
    verdict = run.send(hang=["submit"])
    assert (verdict.outcome, verdict.cause) == ("unknown", "needs_ui")
    run.windows.clear()
    assert settle_doubt(verdict, run.look()).outcome == "needs_ui"


@pytest.mark.parametrize("name", ["created", "submitting"])
def test_what_the_spool_cannot_write_down_does_not_happen(run, name):
    def note(phase):
        run.phases.append(phase)
        if phase.name == name:
            raise OSError("no space left")

    run.note = note
    with pytest.raises(OSError, match="no space left"):
        run.send()
    time.sleep(0.2)
    assert run.count("sent") == 0
    words = [json.loads(path.read_text()) for path in (run.folder / "outbox").glob("*.json")]
    assert all(not one["submitted"] for one in words)


def test_a_relay_that_stops_lets_nothing_be_submitted(run):
    def note(phase):
        run.phases.append(phase)
        if phase.name == "created":
            run.stop.set()

    run.note = note
    verdict = run.send()
    assert verdict.outcome == "transient"
    assert (run.count("outbox"), run.count("sent")) == (0, 0)


def test_a_relay_that_stops_waits_a_while_for_a_submitted_message(run):
    def note(phase):
        run.phases.append(phase)
        if phase.name == "submitted":
            run.stop.set()

    run.note = note
    assert run.send(drain=0.1).outcome == "sent"


def test_a_child_that_dies_is_judged_by_how_far_it_came(run):
    assert run.send(end=["create"]).outcome == "transient"
    assert run.send(end=["submit"]).outcome == "unknown"


@pytest.mark.parametrize(
    "program",
    ["print('hello')", "print('x' * 300_000)", "import sys; sys.exit(7)", 'print(\'{"phase": "logon"}\\n\' * 5000)'],
)
def test_a_program_that_is_not_a_child_is_ended(run, program):
    command = [sys.executable, "-c", program]
    order = ChildOrder(mode="send", mime=MAIL)
    verdict = watch(order, command=command, deadlines=Deadlines(), on_phase=run.note, start=PosixChildHost().start)
    assert verdict.outcome == RelayOutcome.TRANSIENT


@pytest.mark.parametrize(
    ("mail", "recipient", "outcome"),
    [
        (b"Subject: x\r\n\r\nnobody gets it", "nobody", "bad_recipient"),
        (b"To: a@b.c\r\n\r\n" + b"x" * 41 * 1024 * 1024, "a@b.c", "bad_message"),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused_before_any_logon(run, mail, recipient, outcome):
    verdict = run.send(ChildOrder(mode="send", mime=mail, recipient=recipient))
    assert verdict.outcome == outcome
    assert run.names == []


def test_findings_sent_before_a_hang_are_kept(run):
    verdict = run.send(ChildOrder(mode="doctor"), hang=["open"], findings={"profiles": ["Backup"]})
    assert verdict.outcome == "timeout"
    assert verdict.evidence["found"] == {"profiles": ["Backup"]}
    assert run.send(ChildOrder(mode="doctor")).outcome == "examined"
