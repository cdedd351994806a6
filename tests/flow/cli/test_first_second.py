"""A service that has just begun to answer, and still loads its API, its worker and its words, answers nothing wrongly."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.support.migrated import copy_sqlite, sqlite_template
from tests.support.ports import lasting_port
from tests.support.running import LOG, SERVE, SQLITE_FILE, START_S, STOP_S, environment, wait_until

KEY = "an-enrol-key-of-a-test"
ADMIN = {"Authorization": "Bearer an-admin-key-of-a-test"}
EVENT = {"agent": "db1", "job": "night", "activity": "backup", "outcome": "failure"}
# What is asked in the first moment, and the one right answer.
FIRST = [
    ("POST", "/v1/events", {"json": EVENT, "headers": {"Authorization": f"Bearer {KEY}"}}, 202),
    ("POST", f"/in/restic/{KEY}", {"content": b'{"message_type": "exit_error", "code": 1, "message": "Fatal: no repository"}'}, 200),
    ("GET", f"/ping/{KEY}/db1/fail", {}, 200),
    ("GET", "/v1/jobs", {"headers": ADMIN}, 200),
    ("GET", "/v1/jobs", {}, 401),
    ("PUT", "/v1/jobs", {"headers": ADMIN}, 405),
    ("GET", "/healthz", {}, 200),
    ("GET", "/nothing/here", {}, 404),
    ("POST", f"//ping/{KEY}/db2/fail", {"content": b"3 errors, 0 files copied"}, 200),
    ("GET", "/metrics", {"headers": ADMIN}, 200),
]  # fmt: skip


def test_the_first_requests_are_answered_as_all_later_ones(tmp_path: Path):
    copy_sqlite(sqlite_template(), tmp_path / SQLITE_FILE)
    port = lasting_port()
    ours = environment(var_dir=str(tmp_path), port=str(port), enrol_key=KEY, admin_key="an-admin-key-of-a-test")
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / LOG).open("wb") as log:  # a Python of its own: nothing may be loaded before
        service = subprocess.Popen([sys.executable, *SERVE], env=ours, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client, ThreadPoolExecutor(len(FIRST)) as many:
            wait_until("the port", lambda: _answers(client, service), START_S)
            answers = list(many.map(lambda ask: client.request(ask[0], ask[1], **ask[2]), FIRST))
            later = [client.request(method, path, **more) for method, path, more, _ in FIRST]
            got = {
                (method, path): answer.status_code for (method, path, _, _), answer in zip(FIRST, answers, strict=True)
            }
            assert [answer.status_code for answer in answers] == [right for *_, right in FIRST], got
            assert [answer.status_code for answer in later] == [right for *_, right in FIRST]
            stored = client.get("/v1/events", headers=ADMIN).json()["items"]
            failures = {event["job"] for event in stored if event["outcome"] == "failure"}
            assert len(failures) >= 4, stored
    finally:
        service.terminate()
        service.wait(STOP_S)


def _answers(client: httpx.Client, service: subprocess.Popen[bytes]) -> bool:
    assert service.poll() is None, "the service ended"
    try:
        client.get("/healthz")
    except httpx.TransportError:
        return False
    return True
