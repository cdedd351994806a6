"""check_tocsin against a real service: its exit status, output and performance data; and in a real Nagios 4 and Icinga 2."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from programs.monitoring.check_tocsin import Range
from tests.support.icinga import icinga
from tests.support.measured import Measured, version_of
from tests.support.nagios import nagios
from tests.support.ports import lasting_port
from tests.support.running import CLIENT, Running, serving, wait_until
from tests.support.sources import ROOT

PLUGIN = [sys.executable, str(ROOT / "programs/monitoring/check_tocsin.py")]
EVIL = "disk full | age=0;;;0\n<script>alert(1)</script>\x1b[31m"


@dataclass(frozen=True, slots=True)
class Watched:
    """A service with a monitor key in a file, as the plugin uses it."""

    running: Running
    key_file: Path

    def report(self, job: str, outcome: str, **more: object) -> None:
        """Report as the agent nas01, and wait until the report was decided on."""
        event = {"agent": "nas01", "job": job, "outcome": outcome, **more}
        headers = {"Authorization": f"Bearer {self.running.enrol_key}"}
        CLIENT.post(f"{self.running.url}/v1/events", json=event, headers=headers, timeout=30).raise_for_status()

        def look() -> bool:
            found = self.running.ask("/v1/jobs", name=job)["items"]
            return bool(found) and found[0]["last_outcome"] == outcome

        wait_until(f"{job} {outcome}", look)

    def command(self, mode: str, *words: str) -> list[str]:
        """Return the plugin's command line."""
        return [*PLUGIN, mode, "-U", self.running.url, "-K", str(self.key_file), *words]

    def check(self, mode: str, *words: str) -> tuple[int, str]:
        """Run the plugin; return its exit status and output."""
        return run(*self.command(mode, *words)[len(PLUGIN) :])


def run(*words: str) -> tuple[int, str]:
    done = subprocess.run([*PLUGIN, *words], capture_output=True, timeout=60, check=False)
    assert done.stderr == b""
    return done.returncode, done.stdout.decode()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("check")
    with serving(folder / "var") as running:
        body = {"kind": "monitor", "name": "nagios"}
        headers = {"Authorization": f"Bearer {running.admin_key}"}
        made = CLIENT.post(f"{running.url}/v1/keys", json=body, headers=headers, timeout=30).json()
        (folder / "key").write_text(f"{made['key']}\n", encoding="utf-8")
        found = Watched(running, folder / "key")
        found.report("photos", "success", labels={"site": "hq"}, metrics={"duration_s": 41.5, "bytes_stored": 1048576})
        found.report("db", "failure", message=EVIL)
        found.report("mail", "warning", message="3 files were skipped")
        yield found


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (("job", "-a", "nas01", "-j", "photos"), 0, "TOCSIN OK - nas01: photos (backup) is ok, last success "),
        (("job", "-a", "NAS01", "-j", "photos", "-c", "26h"), 0, ";;93600;0 duration=41.5s;;;0 stored=1048576B"),
        (("job", "-a", "nas01", "-j", "photos", "-c", "@0:1h"), 2, "TOCSIN CRITICAL - "),
        (("job", "-a", "nas01", "-j", "photos", "-w", "@0:1h"), 1, "TOCSIN WARNING - "),
        (("job", "-a", "nas01", "-j", "db"), 2, "is failed, it never succeeded: disk full / age=0;;;0 [script]"),
        (("job", "-a", "nas01", "-j", "mail"), 1, "3 files were skipped"),
        (("job", "-a", "nas01", "-j", "nothing"), 3, "there is no job nothing of an agent nas01"),
        (("job", "-a", "other", "-j", "photos"), 3, "there is no job photos of an agent other"),
        (("jobs", "-m", "job=photos"), 0, "TOCSIN OK - 1 of 1 jobs are ok (1 jobs) | bad=0;;;0 jobs=1"),
        (("jobs", "-m", "label:site=hq"), 0, "TOCSIN OK"),
        (("jobs", "-m", "job~p*", "-m", "job!=photos"), 3, "no job matches"),
        (("jobs", "-m", "jbo=photos"), 3, "HTTP 422"),
        (("agent", "-a", "nas01"), 2, "1 failed, 1 with warnings (3 jobs)"),
        (("agent", "-a", "nas01", "-c", "1"), 1, "TOCSIN WARNING"),
        (("agent", "-a", "nas01", "-w", "0", "-c", "1"), 1, "bad=1;0;1;0"),
        (("jobs", "-m", "job=db", "-c", "5"), 1, "TOCSIN WARNING - 1 failed"),
        (("agent", "-a", "nobody", "-c", "100"), 3, "no job matches"),
        (("customer", "-C", "nobody"), 3, "no job matches"),
        (("summary",), 2, "\nFAILED "),
        (("summary", "-c", "5", "-r", "1h"), 1, "report_age="),
        (("summary", "-c", "5", "-r", "1h:"), 2, "newest report "),
        (("service",), 1, "checks_not_ok="),
        (("summary", "--checkmk", "Backups"), 0, '2 "Backups" bad=1|jobs=3|failed=1|'),
    ],
)
def test_each_mode_exits_as_the_guidelines_say(watched: Watched, words: tuple[str, ...], status: int, part: str):
    found, output = watched.check(*words)
    if words == ("service",):  # whether mail is set up is not the point here
        assert found in (0, 1)
    else:
        assert found == status, output
    assert part in output


def test_text_of_a_tool_can_begin_no_performance_data_and_no_line(watched: Watched):
    _, output = watched.check("job", "-a", "nas01", "-j", "db")
    [line] = output.splitlines()
    assert line.count("|") == 1
    assert "<" not in output
    assert "\x1b" not in output


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        ((), 3, "See --help"),
        (("job", "-U", "http://x"), 3, "required: -a/--agent, -j/--job"),
        (("summary", "-U", "http://x", "-c", "5:1"), 3, "the first number is larger"),
        (("summary", "-U", "ftp://x"), 3, "must begin with http"),
        (("--version",), 3, "check_tocsin "),
        (("summary", "--help"), 3, "--report-age"),
        (("summary", "-U", "http://x", "-t", "nan"), 3, "is not a number of seconds"),
        (("summary", "-U", "http://x", "-t", "-1"), 3, "is not a number of seconds"),
        (("summary", "-U", "http://x", "-t", "0"), 3, "is not a number of seconds"),
        (("summary", "-U", "http://a b"), 3, "TOCSIN UNKNOWN - "),
    ],
)
def test_a_wrong_command_line_is_unknown(words: tuple[str, ...], status: int, part: str):
    found, output = run(*words)
    assert (found, part in output) == (status, True), output


def test_a_service_that_is_away_is_never_ok(tmp_path: Path):
    url = f"http://127.0.0.1:{lasting_port()}"
    assert run("summary", "-U", url)[0] == 3
    assert run("service", "-U", url)[0] == 2
    assert run("summary", "-U", url, "-K", str(tmp_path / "none"))[0] == 3


@pytest.mark.parametrize(
    "content", ["tocsin_monitor_secret\n# of 2026\n", "# key\r\ntocsin_monitor_secret", "tocsin secret€"]
)
def test_a_key_file_that_holds_more_than_a_key_is_not_shown(tmp_path: Path, content: str):
    (tmp_path / "key").write_text(content, encoding="utf-8")
    status, output = run("summary", "-U", "http://127.0.0.1:1", "-K", str(tmp_path / "key"))
    assert (status, "secret" in output) == (3, False)
    assert "the key must be one line" in output


STATUS = {"verdict": "ok", "reason": "", "is_current": True, "newest_report_age_s": 1, "worst": []}
COUNTS = {"jobs": 2, "failed": 0, "missed": 0, "unclear": 0, "warning": 0, "new": 0, "ok": 2, "silent_agents": 0}
WELL = {
    "agent": "nas01",
    "job": "db",
    "customer": "Acme",
    "activity": "backup",
    "state": "ok",
    "message": None,
    "last_success_at": "2026-11-27T08:00:00Z",
    "duration_s": 60,
    "failures_in_row": 0,
    "bytes_processed": None,
    "bytes_stored": 123456789012345,
}


@contextmanager
def answering(answers: dict[str, object]) -> Iterator[tuple[str, list[str]]]:
    """Answer by the path, and by the cursor where one is sent; yield the address and what was asked."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            url = urlsplit(self.path)
            body = json.dumps(answers["".join([url.path, *parse_qs(url.query).get("cursor", [])])]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_job_that_failed_is_seen_on_the_last_page_too():
    answers = {
        "/v1/status": {**STATUS, "counts": COUNTS},
        "/v1/status/jobs": {"items": [WELL] * 200, "next": "more"},
        "/v1/status/jobsmore": {"items": [{**WELL, "state": "failed"}], "next": None},
    }
    with answering(answers) as (url, _):
        status, output = run("job", "-a", "nas01", "-j", "db", "-U", url)
    assert (status, "is failed" in output) == (2, True), output


def test_a_job_of_a_silent_agent_is_critical_though_its_last_run_was_good():
    answers = {
        "/v1/status": {**STATUS, "verdict": "critical", "counts": {**COUNTS, "silent_agents": 1}},
        "/v1/status/jobs": {"items": [WELL], "next": None},
    }
    with answering(answers) as (url, _):
        status, output = run("job", "-a", "nas01", "-j", "db", "-U", url)
    assert (status, "the agent is silent" in output) == (2, True), output


@pytest.mark.parametrize(
    ("words", "match"), [(("agent", "-a", ""), "match=agent%3D&"), (("customer", "-C", ""), "match=customer%3D&")]
)
def test_an_empty_name_chooses_nothing_and_not_everything(words: tuple[str, ...], match: str):
    nothing = {**STATUS, "verdict": "unknown", "counts": {**COUNTS, "jobs": 0, "ok": 0}}
    with answering({"/v1/status": nothing}) as (url, asked):
        assert run(*words, "-U", url)[0] == 3
    assert match in asked[0]


def test_performance_data_has_whole_numbers_as_the_guidelines_say():
    answers = {"/v1/status": {**STATUS, "counts": COUNTS}, "/v1/status/jobs": {"items": [WELL], "next": None}}
    with answering(answers) as (url, _):
        _, output = run("job", "-a", "nas01", "-j", "db", "-U", url, "-c", "13w:1300w")
        _, checkmk = run("job", "-a", "nas01", "-j", "db", "-U", url, "--checkmk", "db")
    assert " stored=123456789012345B;;;0 " in output
    assert ";;7862400:786240000;0 " in output
    assert "|stored=123456789012345|" in checkmk


def test_a_wrong_key_is_unknown(watched: Watched):
    status, output = run("summary", "-U", watched.running.url, "-k", "wrong")
    assert (status, "HTTP 401" in output) == (3, True)


@pytest.mark.parametrize(
    ("code", "body", "status"),
    [
        (200, b"<html>welcome</html>", 3),
        (200, b"{}", 3),
        (200, b'{"items": []}', 3),
        (302, b"", 3),
        (500, b'{"detail": "x"}', 3),
        (200, b"[]", 3),
    ],
)
def test_an_answer_that_is_not_tocsins_is_unknown(code: int, body: bytes, status: int):
    class Strange(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Strange) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        for words in (("summary",), ("job", "-a", "a", "-j", "j")):
            assert run(*words, "-U", url)[0] == status
        assert run("service", "-U", url)[0] in (2, 3)
        server.shutdown()


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000])
def test_whatever_answers_the_exit_status_is_never_pythons_own(answer: bytes):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert run("summary", "-U", url)[0] == 3
        assert run("service", "-U", url)[0] in (2, 3)


@pytest.mark.parametrize(
    ("written", "inside", "outside"),
    [
        ("10", (0, 5, 10), (-1, 10.1)),
        ("10:", (10, 99), (9, -1)),
        ("~:10", (-99, 10), (11,)),
        ("10:20", (10, 20), (9, 21)),
        ("@10:20", (9, 21), (10, 20)),
        ("26h", (0, 93600), (93601,)),
        ("1d:2d", (86400, 172800), (86399,)),
    ],
)
def test_ranges_are_those_of_the_guidelines(written: str, inside: tuple[float, ...], outside: tuple[float, ...]):
    found = Range.read(written)
    assert not any(map(found.alerts, inside))
    assert all(map(found.alerts, outside))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "row", "name", "run_with"),
    [
        pytest.param("nagios4", "nagios", "Nagios", nagios, marks=pytest.mark.needs("nagios4")),
        pytest.param("icinga2", "icinga", "Icinga", icinga, marks=pytest.mark.needs("icinga2")),
    ],
    ids=["nagios", "icinga"],
)
def test_a_failure_is_critical_there_until_the_job_succeeds(
    watched: Watched, tmp_path: Path, program: str, row: str, name: str, run_with
):
    measured = Measured(row, f"{name} {version_of(program)}")
    checks = {
        "web": watched.command("job", "-a", "nas01", "-j", "web"),
        "gone": watched.command("jobs", "-m", "job=gone"),
    }
    watched.report("web", "success")
    with run_with(tmp_path / row, checks) as there:
        assert "web (backup) is ok" in there.wait_for("web", "OK")
        assert "no job matches" in there.wait_for("gone", "UNKNOWN")
        with measured.failure():
            watched.report("web", "failure", message="the tape is full")
            assert "the tape is full" in there.wait_for("web", "CRITICAL")
        with measured.recovery():
            watched.report("web", "success")
            there.wait_for("web", "OK")


@pytest.mark.needs("root:mount")
def test_a_name_server_that_does_not_answer_does_not_hold_the_check(tmp_path: Path):
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.77\noptions timeout:30 attempts:3\n")
    (tmp_path / "key").write_text("a-key")
    check = f"{sys.executable} {ROOT}/programs/monitoring/check_tocsin.py service --url http://tocsin.example --key-file {tmp_path}/key -t 2"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.77", 53))
        script = f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && exec {check}"
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script], capture_output=True, timeout=25, check=False, text=True
        )
    assert (done.returncode, "no answer within 2 s" in done.stdout) == (2, True), done
