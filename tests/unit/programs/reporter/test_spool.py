"""The reporter's spool and records: in order, bounded, never without a failure; whole after whatever was cut off."""

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from programs.reporter import spool as spools
from programs.reporter.records import RunRecord, cut_off
from programs.reporter.spool import ReporterSpool, last_event

CUT = {"key": "r/finished", "job": "j", "outcome": "warning"}
ENDED = {"key": "r/finished", "job": "j", "outcome": "failure", "message": "m", "log": "l" * 5000}


def event(key: str, outcome: str | None = "failure", **more: str) -> dict:
    return {"key": key, "job": "j", **({"outcome": outcome} if outcome else {}), **more}


def keys(spool: ReporterSpool) -> list[str]:
    found = [spool.event_in(one) for one in spool.list()]
    return [one["key"] for one in found if one is not None]


def test_events_wait_in_the_order_in_which_they_came(tmp_path: Path):
    spool = ReporterSpool(tmp_path)
    for number in range(30):
        spool.put(event(str(number), ("success", "failure", None)[number % 3]))
    assert keys(ReporterSpool(tmp_path)) == [str(number) for number in range(30)]


def test_the_folder_is_for_its_owner_alone(tmp_path: Path):
    spool = ReporterSpool(tmp_path / "spool")
    spool.put(event("a"))
    paths = [tmp_path / "spool", *(tmp_path / "spool").rglob("*")]
    assert {oct(path.stat().st_mode & 0o077) for path in paths} == {"0o0"}


def test_progress_goes_first_then_successes_and_failures_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spools, "FILES_MOST", 4)
    spool = ReporterSpool(tmp_path)
    for key, outcome in [("s1", "success"), ("p1", None), ("f1", "failure"), ("p2", None)]:
        spool.put(event(key, outcome))
    spool.put(event("f2"))
    assert keys(spool) == ["s1", "f1", "p2", "f2"]
    spool.put(event("w3", "warning"))
    assert keys(spool) == ["s1", "f1", "f2", "w3"]
    spool.put(event("f4"))
    assert keys(spool) == ["f1", "f2", "w3", "f4"]
    spool.put(event("f5", log="long", message="short"))
    assert keys(spool) == ["f1", "f2", "w3", "f4", "f5"]
    assert spool.event_in(spool.list()[-1]) == event("f5", message="short"), "without its log where there is no room"
    spool.put(event("p6", None))
    assert keys(spool)[:5] == ["f1", "f2", "w3", "f4", "f5"]


def test_the_bound_is_also_one_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spools, "BYTES_MOST", 10_000)
    spool = ReporterSpool(tmp_path)
    for number in range(100):
        spool.put(event(str(number), "success", log="x" * 900))
    assert sum(one.size for one in spool.list()) <= 11_000
    assert keys(spool)[-1] == "99"


def test_refused_events_are_kept_with_their_reasons_the_newest_hundred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spools, "REFUSED_MOST", 3)
    spool = ReporterSpool(tmp_path)
    for number in range(5):
        spool.put(event(str(number)))
        spool.refuse(spool.list()[0], f"reason {number}")
    assert not spool.list()
    assert [path.read_text() for path in sorted(spool.refused.glob("*.why"))] == [f"reason {n}\n" for n in (2, 3, 4)]


def test_of_one_that_was_dropped_while_it_was_refused_no_reason_is_left(tmp_path: Path):
    spool = ReporterSpool(tmp_path)
    spool.put(event("a", None))
    [one] = spool.list()
    spool.done(one)
    spool.refuse(one, "reason")
    assert not list(spool.refused.iterdir())


@pytest.mark.parametrize("hours", [-2, 2])
def test_an_event_whose_writer_was_killed_is_sent_if_it_is_whole(tmp_path: Path, hours: int):
    spool, then = ReporterSpool(tmp_path), time.time() - hours * 3600
    for place, data in enumerate([json.dumps(event("whole")).encode() + b"\n", b'{"key": "cu', b""]):
        (spool.waiting / f"{place:020d}-f-abc.new").write_bytes(data)
        os.utime(spool.waiting / f"{place:020d}-f-abc.new", (then, then))
    (spool.waiting / f"{9:020d}-f-abc.new").touch()  # one that is written now
    with spool.delivering(time.monotonic()) as is_ours:
        assert (is_ours, keys(spool)) == (True, ["whole"])
    assert [path.name[:20] for path in spool.waiting.glob("*.new")] == [f"{9:020d}"]


def test_a_run_that_ended_waits_with_its_outcome_and_nothing_is_left_running(tmp_path: Path):
    spool = ReporterSpool(tmp_path)
    record = RunRecord.write(spool, "r", CUT)
    record.sync()
    assert not list(cut_off(spool)), "its reporter lives"
    record.settle(ENDED)
    assert [spool.event_in(one) for one in spool.list()] == [ENDED]
    assert not list(spool.running.iterdir())


def test_of_one_whose_reporter_died_the_event_for_that_waits(tmp_path: Path):
    spool = ReporterSpool(tmp_path)
    os.close(RunRecord.write(spool, "r", CUT)._fd)
    [record] = cut_off(spool)
    record.rescue()
    assert [spool.event_in(one) for one in spool.list()] == [CUT]


@pytest.mark.parametrize("cut_at", range(0, 6000, 97))
def test_a_run_is_reported_once_wherever_the_writing_of_its_outcome_was_cut(tmp_path: Path, cut_at: int):
    spool = ReporterSpool(tmp_path)
    record = RunRecord.write(spool, "r", CUT)
    line = json.dumps(ENDED).encode() + b"\n"
    os.lseek(record._fd, record._start, os.SEEK_SET)
    os.write(record._fd, line[:cut_at])
    os.close(record._fd)
    for found in cut_off(spool):
        found.rescue()
    is_whole = cut_at >= len(line)
    assert [spool.event_in(one) for one in spool.list()] == [ENDED if is_whole else CUT]


def test_a_record_that_was_moved_already_is_not_reported_again(tmp_path: Path):
    spool = ReporterSpool(tmp_path)
    record = RunRecord.write(spool, "r", CUT)
    shared = RunRecord(spool, record._path, os.dup(record._fd), CUT)  # the keeper's, after a fork
    record.settle(ENDED)
    spool.done(spool.list()[0])
    shared.rescue()
    assert not spool.list()


def test_an_empty_record_whose_reporter_was_killed_is_deleted(tmp_path: Path):
    spool = ReporterSpool(tmp_path)
    (spool.running / "r.json").touch()
    assert not list(cut_off(spool))
    assert not list(spool.running.iterdir())


def test_records_that_begin_during_a_search_for_abandoned_ones_stay(tmp_path: Path):
    spool, is_over = ReporterSpool(tmp_path), threading.Event()

    def look() -> None:
        while not is_over.is_set():
            for found in cut_off(spool):
                found.rescue()

    with ThreadPoolExecutor(3) as threads:
        looking = [threads.submit(look) for _ in range(3)]
        for number in range(300):
            RunRecord.write(spool, str(number), CUT).settle(event(str(number)))
        is_over.set()
    assert [one.exception() for one in looking] == [None] * 3
    assert sorted(keys(spool), key=int) == [str(number) for number in range(300)]


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b'{"key": "a"}', b"[1]\n", b"\xff\n", b"[" * 5000 + b"\n"])
def test_bytes_that_are_not_an_event_are_not_read_as_one(data: bytes):
    assert last_event(data) is None
