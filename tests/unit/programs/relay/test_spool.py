"""The spool through any order of leases, sends, kills and hand-ins: what may have left is never given out to be sent again."""

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.protocol.relay import LeaseClaim, LeasedMail
from programs.relay.conversation import SendPhase
from programs.relay.outcomes import RelayOutcome, RelayVerdict
from programs.relay.spool import RelaySpool, SpoolDamaged, SpoolInUse, damaged_copy, open_spool
from tests.support.examples import examples

ROOT = Path(__file__).resolve().parents[4]

SURELY_NOT = (RelayOutcome.TIMEOUT, RelayOutcome.TRANSIENT, RelayOutcome.LOGON_FAILED, RelayOutcome.NEEDS_UI)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("lease"), st.integers(1, 2), st.booleans()),
        st.tuples(st.just("send"), st.sampled_from([*RelayOutcome, None]), st.booleans()),
        st.tuples(st.just("tell"), st.none(), st.none()),
        st.tuples(st.just("reopen"), st.none(), st.none()),
        st.tuples(
            st.just("look"), st.sampled_from([RelayOutcome.SENT, RelayOutcome.QUEUED, RelayOutcome.TIMEOUT]), st.none()
        ),
    ),
    max_size=30,
)


def posted(number: int, token: str, *, maybe_sent: bool = False) -> LeasedMail:
    return LeasedMail(
        f"msg_{number}", token, 60, "a@example.org", f"<{number}@x>", b"Subject: x\r\n\r\n", False, maybe_sent
    )


@dataclass
class Played:
    """A spool with what surely and maybe left."""

    path: Path
    spool: RelaySpool
    leases: int = 0
    may_have_left: set[str] = field(default_factory=set)
    reported: dict[str, str] = field(default_factory=dict)

    def lease(self, number: int, maybe_sent: bool) -> None:
        self.leases += 1
        self.spool.take(posted(number, f"t{self.leases}", maybe_sent=maybe_sent))
        found = self.spool.find(f"msg_{number}")
        assert found is not None
        if maybe_sent and found.verdict is not None:
            self.may_have_left.add(found.id)

    def send(self, outcome: RelayOutcome | None, submitted: bool) -> None:
        one = self.spool.next_to_send()
        if one is None:
            return
        assert one.id not in self.may_have_left, "sent again, though it may have left"
        self.spool.start(one.id)
        if submitted or outcome not in SURELY_NOT:
            self.may_have_left.add(one.id)
            self.spool.note(one.id, SendPhase("submitting", "00", "11"))
            outcome = (
                outcome
                if outcome in (None, RelayOutcome.SENT, RelayOutcome.QUEUED, RelayOutcome.UNKNOWN)
                else RelayOutcome.UNKNOWN
            )
        if outcome is not None:  # None: killed here
            self.spool.end(
                one.id, RelayVerdict(outcome, "as played", {"looked": True} if outcome == RelayOutcome.UNKNOWN else {})
            )

    def look(self, outcome: RelayOutcome, _: None) -> None:
        one = self.spool.next_in_doubt(-1)
        if one is None:
            return
        if outcome == RelayOutcome.TIMEOUT:  # found as a draft and deleted: it surely did not leave
            self.may_have_left.discard(one.id)
        self.spool.end(one.id, RelayVerdict(outcome, "as looked"), looked=True)

    def tell(self, *_: None) -> None:
        for one in self.spool.to_hand_in():
            assert one.verdict is not None
            self.reported[one.id] = one.verdict.outcome
            self.spool.handed_in(one.claim)

    def reopen(self, *_: None) -> None:
        self.spool.close()
        self.spool = RelaySpool(self.path)


@settings(deadline=None, max_examples=examples(150))
@given(STEPS)
def test_nothing_that_may_have_left_is_sent_again(steps: list[tuple]):
    with TemporaryDirectory() as folder:
        played = Played(Path(folder) / "spool.db", RelaySpool(Path(folder) / "spool.db"))
        for name, *values in steps:
            getattr(played, name)(*values)
        played.tell()
        held = {claim.id for claim in played.spool.holding()}
        for one in played.spool.all():
            assert one.id in held or one.id in played.reported, (
                "each message is either still held, or its end was reported"
            )
        played.spool.close()


@pytest.fixture
def spool(tmp_path: Path):
    with closing(RelaySpool(tmp_path / "spool.db")) as spool:
        yield spool


def test_a_verdict_handed_in_under_an_old_lease_is_sent_again_under_the_new_one(spool: RelaySpool):
    spool.take(posted(1, "old"))
    spool.start("msg_1")
    spool.end("msg_1", RelayVerdict(RelayOutcome.SENT, "found in Sent Items"))
    spool.handed_in(LeaseClaim("msg_1", "old"))
    assert spool.to_hand_in() == []
    spool.take(posted(1, "new"))
    assert spool.next_to_send() is None
    assert [(one.token, one.verdict.outcome) for one in spool.to_hand_in()] == [("new", "sent")]
    spool.handed_in(LeaseClaim("msg_1", "old"))
    assert len(spool.to_hand_in()) == 1, "an answer to the old lease settles nothing"


def test_alerts_go_before_summaries(spool: RelaySpool):
    spool.take(posted(1, "t"))
    spool.take(LeasedMail("msg_2", "t", 60, "a@example.org", "<2@x>", b"", True))
    assert spool.next_to_send().id == "msg_2"


def test_a_message_that_may_have_gone_by_another_relay_is_not_sent_blindly(spool: RelaySpool):
    spool.take(posted(1, "t", maybe_sent=True))
    assert spool.next_to_send() is None
    [reported] = spool.to_hand_in()
    assert reported.verdict.outcome == "unknown"


def test_a_settled_message_is_forgotten_after_two_weeks_and_its_content_at_once(
    spool: RelaySpool, monkeypatch: pytest.MonkeyPatch
):
    spool.take(posted(1, "t"))
    spool.start("msg_1")
    spool.end("msg_1", RelayVerdict(RelayOutcome.SENT, "left"))
    spool.handed_in(LeaseClaim("msg_1", "t"))
    assert spool.find("msg_1").mime == b""
    spool.tidy()
    assert spool.find("msg_1") is not None
    monkeypatch.setattr("programs.relay.spool.time.time", lambda: 4e9)
    spool.tidy()
    assert spool.find("msg_1") is None
    assert spool.sent == 1, "the count stays"


def test_a_clock_that_is_put_back_keeps_nothing_in_doubt(spool: RelaySpool, monkeypatch: pytest.MonkeyPatch):
    spool.take(posted(1, "t"))
    spool.start("msg_1")
    spool.end("msg_1", RelayVerdict(RelayOutcome.UNKNOWN, "killed", {"looked": False}), looked=True)
    assert spool.next_in_doubt(60) is None, "it was looked for a moment ago"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86_400)
    assert spool.next_in_doubt(60).id == "msg_1"
    assert spool.waiting()[1] >= 0


def _take_until_killed(path: Path) -> None:
    spool = RelaySpool(path)
    spool._file.set_trace_callback(lambda words: os._exit(9) if words.startswith("UPDATE") else None)
    spool.take(posted(1, "t", maybe_sent=True))


def test_a_kill_while_a_message_that_may_have_left_is_noted_does_not_make_it_one_to_send(tmp_path: Path):
    process = multiprocessing.get_context("fork").Process(target=_take_until_killed, args=(tmp_path / "spool.db",))
    process.start()
    process.join(30)
    assert process.exitcode == 9
    with closing(RelaySpool(tmp_path / "spool.db")) as spool:
        assert spool.next_to_send() is None


@pytest.mark.parametrize("harm", ["no spool at all", "a page in the middle"])
def test_a_damaged_spool_is_kept_aside_and_a_new_one_begun(tmp_path: Path, harm: str):
    path = tmp_path / "spool.db"
    with closing(RelaySpool(path)) as spool:
        for number in range(50):
            spool.take(posted(number, "t"))
    content = bytearray(path.read_bytes())
    if harm == "no spool at all":
        content[:100] = b"\0" * 100
    else:
        content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(SpoolDamaged):
        RelaySpool(path)
    with closing(open_spool(tmp_path)) as spool:
        assert spool.all() == []
        kept = damaged_copy(spool)
        assert (tmp_path / kept).read_bytes() == content
        (tmp_path / kept).unlink()
        assert damaged_copy(spool) == ""


def _set_aside_until_killed(folder: Path, event: str, number: int) -> None:
    seen = []

    def hear(heard: str, _: object) -> None:
        seen.append(heard)
        if seen.count(event) == number:
            os._exit(9)

    sys.addaudithook(hear)
    open_spool(folder)


@pytest.mark.parametrize(("event", "number"), [("os.rename", 1), ("os.rename", 2), ("sqlite3.connect", 2)])
def test_a_kill_while_a_damaged_spool_is_moved_still_leaves_it_reported(tmp_path: Path, event: str, number: int):
    path = tmp_path / "spool.db"
    path.write_bytes(b"\xa5" * 9000)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).write_bytes(b"\xa5" * 100)
    killed = multiprocessing.get_context("fork").Process(target=_set_aside_until_killed, args=(tmp_path, event, number))
    killed.start()
    killed.join(30)
    assert killed.exitcode == 9
    with closing(open_spool(tmp_path)) as spool:
        assert spool.all() == []
        kept = damaged_copy(spool)
        assert (tmp_path / kept).read_bytes() == b"\xa5" * 9000


def test_a_spool_of_an_older_version_is_taken_over_with_its_messages(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "spool.db")) as old, old:
        columns = "id TEXT PRIMARY KEY, token TEXT, recipient TEXT, message_id TEXT, mime BLOB, is_alert INTEGER, taken_at REAL"
        more = "looked_at REAL DEFAULT 0, is_begun INTEGER DEFAULT 0, phase TEXT DEFAULT '', entryid TEXT DEFAULT '', search_key TEXT DEFAULT ''"
        ended = "verdict TEXT, is_final INTEGER DEFAULT 0, is_handed_in INTEGER DEFAULT 0, ended_at REAL"
        old.execute(f"CREATE TABLE messages ({columns}, {more}, {ended})")
        values = ("msg_1", "t", "a@example.org", "<1@x>", b"", 1, 0.0)
        old.execute(
            "INSERT INTO messages (id, token, recipient, message_id, mime, is_alert, taken_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )
    for _ in range(2):
        with closing(RelaySpool(tmp_path / "spool.db")) as spool:
            kept = spool.next_to_send()
            assert kept is not None
            assert (kept.id, kept.has_other_way) == ("msg_1", False)


def test_a_second_relay_on_the_same_folder_ends_with_a_plain_message_and_a_killed_one_leaves_no_lock(
    tmp_path: Path,
) -> None:
    """Two processes with one spool would send the same message twice."""
    opens = "from programs.relay.spool import open_spool; spool = open_spool(Path(sys.argv[1]))"
    code = f"import sys, time; from pathlib import Path; {opens}; print('ready', flush=True); time.sleep(60)"
    first = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == b"ready\n"
        with pytest.raises(SpoolInUse, match=r"another relay works with .* stop the service first"):
            open_spool(tmp_path)
        with closing(RelaySpool(tmp_path / "spool.db")) as looked_at:
            assert looked_at.waiting() == (0, 0.0), "the commands that only look still work"
    finally:
        first.kill()
        first.communicate()
    open_spool(tmp_path).close()
    open_spool(tmp_path).close()
