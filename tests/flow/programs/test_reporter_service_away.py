"""tocsin-report in trouble: the service away, slow, busy or of another mind. The command is as ever, and no outcome is lost."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.answers import answering_in_turn
from tests.support.processes import kill_family
from tests.support.reporter import (
    COMMAND,
    LATEST_S,
    NOWHERE,
    SLACK_S,
    Reporter,
    ended,
    events_of,
    reporter,
    runs_as_ever,
)
from tests.support.running import Running, serving, wait_until
from tests.support.wrong_server import answering

TAKEN = b'{"accepted":1,"duplicates":0,"rejected":[]}'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("var")) as running:
        yield running


@pytest.fixture
def report(running: Running, tmp_path: Path) -> Reporter:
    return reporter(tmp_path, running.url, running.enrol_key)


@pytest.mark.slow
def test_events_from_an_outage_of_the_service_are_sent_in_order_afterwards(running: Running, report: Reporter):
    kill_family(running.processes[-1])
    for number in range(4):
        [words] = runs_as_ever(report, f"down {number}")
        assert "no answer from 127.0.0.1" in words
    quiet = report("run", "--quiet", "--job", "in silence", "--", *COMMAND)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (3, b"its output", b"its errors")
    order = [json.loads(path.read_bytes().strip().split(b"\n")[-1])["job"] for path in report.waiting()]
    assert order == [job for job in ("down 0", "down 1", "down 2", "down 3", "in silence") for _ in ("start", "end")]
    running.kill_and_start_again()
    assert runs_as_ever(report, "up again") == []
    assert not report.waiting()
    for number in range(4):
        assert ended(running, f"down {number}") == ["failure"]
    times = [events_of(running, f"down {number}")[0]["occurred_at"] for number in range(4)]
    assert times == sorted(times), "each is reported with its own time"


HANGING = {
    "takes the request and says nothing": ([b""], 60),
    "drips": ([b"HTTP/1.1 202 OK\r\n", *[b"X: y\r\n"] * 200], 0.4),
    "speaks no HTTP": ([b"220 mail.example.org ESMTP\r\n"], 0),
    "hangs up": ([], 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HANGING)
def test_a_service_that_hangs_delays_nothing_beyond_ten_seconds(report: Reporter, name: str):
    pieces, pause_s = HANGING[name]
    with answering(pieces, pause_s) as port:
        report.settings["TOCSIN_REPORT_URL"] = f"http://127.0.0.1:{port}"
        [words] = runs_as_ever(report, name)
        assert words.startswith("tocsin-report: ")
    assert len(report.waiting()) == 2


@pytest.mark.slow
def test_a_name_server_that_hangs_delays_nothing_beyond_ten_seconds(report: Reporter, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, time\nsocket.getaddrinfo = lambda *_, **__: time.sleep(60)\n"
    )
    report.settings.update(PYTHONPATH=str(tmp_path), TOCSIN_REPORT_URL="http://tocsin.example.org")
    runs_as_ever(report, "no name")
    assert len(report.waiting()) == 2


@pytest.mark.slow
def test_a_script_is_not_held_by_a_name_server_that_hangs(report: Reporter, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, time\nsocket.getaddrinfo = lambda *_, **__: time.sleep(60)\n"
    )
    report.settings.update(PYTHONPATH=str(tmp_path), TOCSIN_REPORT_URL="http://tocsin.example.org")
    started = time.monotonic()
    done = report("send", "--job", "no name", "--outcome", "failure")
    assert time.monotonic() - started < LATEST_S + SLACK_S
    assert (done.returncode, done.stderr) == (0, b"tocsin-report: it could not be sent in time; it is stored\n")


@pytest.mark.slow
def test_who_reads_the_output_sees_its_end_at_the_command_s_end(report: Reporter):
    with answering([b""], 30) as port:
        report.settings["TOCSIN_REPORT_URL"] = f"http://127.0.0.1:{port}"
        with report.start("run", "--quiet", "--", "echo", "all of it", stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.read() == b"all of it\n"
            assert process.poll() is None, "it still tries to tell, and the next program in the pipe goes on"


@pytest.mark.slow
def test_a_start_that_hangs_does_not_hold_the_command(report: Reporter, tmp_path: Path):
    with answering([b""], 30) as port:
        report.settings["TOCSIN_REPORT_URL"] = f"http://127.0.0.1:{port}"
        started, mark = time.time(), tmp_path / "began"
        with report.start("run", "--quiet", "--", "touch", str(mark)) as process:
            wait_until("the command", mark.exists, 10)
            assert mark.stat().st_mtime - started < 5
            assert process.wait(30) == 0


BUSY = [(503, {"Retry-After": "1"}, b"{}"), (429, {"Retry-After": "1"}, b""), (202, {}, TAKEN)]


@pytest.mark.parametrize("first", [0, 1])
def test_a_busy_service_is_called_again_at_the_time_that_it_named(report: Reporter, first: int):
    with answering_in_turn([BUSY[first], BUSY[2]]) as asked:
        report.settings["TOCSIN_REPORT_URL"] = f"http://127.0.0.1:{asked.port}"
        started = time.monotonic()
        done = report("send", "--job", "busy", "--outcome", "failure")
        assert time.monotonic() - started >= 1
    assert (done.returncode, done.stderr, len(asked.requests)) == (0, b"", 2)
    first_try, second_try = (json.loads(body) for _, body in asked.requests)
    assert first_try.pop("sent_at") < second_try.pop("sent_at")
    assert first_try == second_try, "the same event under the same key both times"


def test_one_that_is_busy_for_an_hour_is_not_waited_for(report: Reporter):
    with answering_in_turn([(503, {"Retry-After": "3600"}, b"")]) as asked:
        report.settings["TOCSIN_REPORT_URL"] = f"http://127.0.0.1:{asked.port}"
        started = time.monotonic()
        assert b"is busy (503)" in report("send", "--job", "busy", "--outcome", "failure").stderr
        assert time.monotonic() - started < 30
    assert len(report.waiting()) == 1


STAYS: Mapping[str, tuple[int, Mapping[str, str], bytes]] = {
    "a redirect is not followed": (307, {"Location": "http://127.0.0.1:9/"}, b""),
    "another's page": (200, {}, b"<html>Welcome to the hotel's network</html>"),
    "an address without us": (404, {}, b"nothing here"),
    "a proxy's 400": (400, {}, b"<html>Bad Request</html>"),
    "a defect": (500, {}, b'{"code": "internal"}'),
    "no answer of ours": (202, {}, b"OK"),
    "another's JSON": (202, {}, b'{"status": "queued"}'),
    "a body that was cut on the way": (400, {}, b'{"code": "body_cut", "detail": "cut"}'),
    "a key that is not known": (401, {}, b'{"code": "key_unknown"}'),
    "a key for something else": (403, {}, b'{"code": "key_scope"}'),
}  # fmt: skip


@pytest.mark.parametrize("name", STAYS)
def test_an_answer_that_does_not_count_the_event_leaves_it_in_the_spool(running: Running, report: Reporter, name: str):
    with answering_in_turn([STAYS[name]]) as asked:
        report.settings["TOCSIN_REPORT_URL"] = f"http://127.0.0.1:{asked.port}"
        done = report("send", "--job", name, "--outcome", "failure")
        assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
        assert len(report.waiting()) == 1
    report.settings["TOCSIN_REPORT_URL"] = running.url
    assert report("flush").stdout == b"1 sent, 0 still waiting\n"
    assert [event["outcome"] for event in events_of(running, name)] == ["failure"]


def test_a_wrong_key_is_reported_and_with_the_right_one_everything_is_sent(running: Running, report: Reporter):
    report.settings["TOCSIN_REPORT_KEY"] = "not-the-key"
    [words] = runs_as_ever(report, "wrong key")
    assert words == "tocsin-report: the service does not accept our key (401)"
    assert report("status").returncode == 1
    report.settings["TOCSIN_REPORT_KEY"] = running.enrol_key
    assert report("flush").returncode == 0
    assert ended(running, "wrong key") == ["failure"]
    assert report("status").returncode == 0


def test_a_refused_event_is_put_aside_and_does_not_hold_the_others(running: Running, report: Reporter):
    away = Reporter(report.program, report.spool, {**report.settings, "TOCSIN_REPORT_URL": NOWHERE})
    for number in range(3):
        away("send", "--job", f"around {number}", "--outcome", "failure", "--quiet")
    path = report.waiting()[1]
    event = json.loads(path.read_bytes())
    path.write_bytes(json.dumps({**event, "agent": {"name": "nobody"}}).encode() + b"\n")
    done = report("flush")
    assert (done.returncode, done.stdout) == (1, b"2 sent, 0 still waiting\n")
    assert b"the service refused an event" in done.stderr
    assert b"agent_missing" in done.stderr
    assert [len(events_of(running, f"around {number}")) for number in range(3)] == [1, 0, 1]
    assert (report.spool / "refused" / path.name).exists()
    assert b"agent_missing" in report("status").stdout
    (report.spool / "refused" / path.name).with_suffix(".why").unlink()  # as if it had been killed before it wrote that
    status = report("status")
    assert (status.returncode, b"its reason could not be stored" in status.stdout) == (1, True)
    (report.spool / "refused" / path.name).unlink()
    assert report("status").returncode == 0


def test_what_the_power_cut_left_unreadable_does_not_hold_the_others(running: Running, report: Reporter):
    away = Reporter(report.program, report.spool, {**report.settings, "TOCSIN_REPORT_URL": NOWHERE})
    for number in range(3):
        away("send", "--job", f"torn {number}", "--outcome", "failure", "--quiet")
    report.waiting()[0].write_bytes(b"")
    report.waiting()[1].write_bytes(b'{"key": "x", "jo')
    assert report("flush").stdout == b"1 sent, 0 still waiting\n"
    assert len(events_of(running, "torn 2")) == 1


@pytest.mark.slow
def test_beyond_the_budget_of_its_key_failures_pass_those_that_wait_and_the_rest_stays_in_the_spool(tmp_path: Path):
    with serving(tmp_path / "var", TOCSIN_KEY_EVENTS_A_MINUTE="2") as running:
        report = reporter(tmp_path, running.url, running.enrol_key)
        away = Reporter(report.program, report.spool, {**report.settings, "TOCSIN_REPORT_URL": NOWHERE})
        for number in range(4):
            away("send", "--job", f"fine {number}", "--outcome", "success", "--quiet")
        away("send", "--job", "broken", "--outcome", "failure", "--quiet")
        done = report("flush")
        assert b"takes only failures for now" in done.stderr
        assert [event["outcome"] for event in events_of(running, "broken")] == ["failure"]
        left = len(report.waiting())
        assert 2 <= left <= 4
        assert not list((report.spool / "refused").iterdir()), "what is refused for now is not refused for good"
        done = report("send", "--job", "broken again", "--outcome", "failure")
        assert (done.returncode, len(events_of(running, "broken again"))) == (0, 1)
        with answering_in_turn([(202, {}, b'{"accepted":%d,"duplicates":0,"rejected":[]}' % left)]) as asked:
            report.settings["TOCSIN_REPORT_URL"] = f"http://127.0.0.1:{asked.port}"
            assert report("flush").stdout == b"%d sent, 0 still waiting\n" % left
