"""The heartbeat of a really running service: pinged while the whole pipeline works, and a failure with its reason where it does not."""

import json
import signal
import sqlite3
import time
from pathlib import Path

import psutil
import pytest

from tests.support.measured import Measured
from tests.support.ping_server import Ping, ping_server
from tests.support.processes import kill_family
from tests.support.running import CLIENT, LOG, Running, serving, wait_until

ID = "0f4c6a5e-7d1b-4a36-9a55-0c2b6a4f7e11"
QUICK = {"TOCSIN_HEARTBEAT_EVERY_S": "5"}
pytestmark = pytest.mark.slow
PATIENCE_S = 60


def _next(pings: list[Ping], what: str, is_it, patience_s: float = PATIENCE_S) -> Ping:
    return wait_until(what, lambda: next((ping for ping in pings if is_it(ping)), None), patience_s)


def _doctor(service: Running) -> dict:
    checks = json.loads(service.tocsin("doctor", "--json").stdout)["checks"]
    return next(check for check in checks if check["code"] == "heartbeat")


def test_pings_healthchecks_while_a_probe_passes_and_leaves_no_trace(tmp_path: Path):
    with ping_server() as server:
        url = f"http://127.0.0.1:{server.port}/ping/{ID}"
        with serving(tmp_path, TOCSIN_HEARTBEAT_URL=url, **QUICK) as service:
            first = _next(server.pings, "the first ping", lambda _: True)
            assert (first.method, first.path, first.body) == ("POST", f"/ping/{ID}", "OK")
            wait_until("three pings", lambda: len(server.pings) >= 3)
            for path in ("/v1/events", "/v1/jobs", "/v1/agents", "/v1/alerts", "/v1/notices", "/v1/messages"):
                assert service.ask(path)["items"] == [], path
            assert "probe" not in CLIENT.get(f"{service.url}/metrics").text
            with sqlite3.connect(tmp_path / "tocsin.db") as database:
                assert database.execute("SELECT count(*) FROM probe").fetchone() == (1,)
                assert database.execute("SELECT count(*) FROM events").fetchone() == (0,)
            assert "accepted" in _doctor(service)["text"]
            server.status = 404
            wait_until("doctor's line", lambda: "status 404" in _doctor(service)["text"])
            assert ID not in json.dumps(_doctor(service))
        log = (tmp_path / LOG).read_text()
        assert "the heartbeat could not be sent" in log
        assert ID not in log


def test_reports_a_database_that_cannot_be_written_to_uptime_kuma_and_recovers(tmp_path: Path):
    with ping_server() as server:
        url = f"http://127.0.0.1:{server.port}/api/push/s3cret?status=up&msg=OK&ping="
        with serving(tmp_path, TOCSIN_HEARTBEAT_URL=url, **QUICK) as service:
            first = _next(server.pings, "the first ping", lambda _: True)
            assert (first.method, first.path) == ("GET", "/api/push/s3cret")
            assert first.query == {"status": "up", "msg": "OK", "ping": ""}
            measured = Measured("heartbeat", "an HTTP server of the tests that keeps the pings of each service")
            stuck = sqlite3.connect(tmp_path / "tocsin.db", isolation_level=None)
            with measured.failure():
                stuck.execute("BEGIN IMMEDIATE")
                down = _next(server.pings, "the failure", lambda ping: ping.query["status"] == "down")
            assert "database" in down.query["msg"]
            with measured.recovery():
                stuck.execute("ROLLBACK")
                stuck.close()
                seen = len(server.pings)
                wait_until(
                    "the recovery",
                    lambda: any(ping.query["status"] == "up" for ping in server.pings[seen:]),
                    PATIENCE_S,
                )
            assert "s3cret" not in (tmp_path / LOG).read_text()
            assert service.tocsin("doctor").stdout.count("s3cret") == 0


def test_a_stopped_worker_is_reported_and_a_killed_service_pings_no_more(postgres_database_url: str, tmp_path: Path):
    with ping_server() as server:
        settings = {"TOCSIN_DATABASE_URL": postgres_database_url, **QUICK}
        url = f"http://127.0.0.1:{server.port}/ping/{ID}"
        with serving(tmp_path, TOCSIN_HEARTBEAT_URL=url, **settings) as service:
            _next(server.pings, "the first ping", lambda ping: ping.path.endswith(ID))
            (starter,) = psutil.Process(service.processes[-1].pid).children()
            (worker,) = wait_until("the worker's process", starter.children)
            worker.send_signal(signal.SIGSTOP)
            failed = _next(server.pings, "the failure", lambda ping: ping.path == f"/ping/{ID}/fail", 90)
            assert "was not decided on" in failed.body
            worker.send_signal(signal.SIGCONT)
            seen = len(server.pings)
            wait_until("the recovery", lambda: any(ping.body == "OK" for ping in server.pings[seen:]), 90)
            kill_family(service.processes[-1])
            time.sleep(1)
            seen = len(server.pings)
            time.sleep(8)
            assert len(server.pings) == seen


def test_a_ping_server_that_hangs_holds_nothing_up(tmp_path: Path):
    with ping_server() as server:
        server.hangs.set()
        url = f"http://127.0.0.1:{server.port}/{ID}"
        with serving(tmp_path, TOCSIN_HEARTBEAT_URL=url, **QUICK) as service:
            _next(server.pings, "the first ping", lambda _: True)
            event = {"agent": "db1", "job": "db", "outcome": "failure"}
            headers = {"Authorization": f"Bearer {service.enrol_key}"}
            CLIENT.post(f"{service.url}/v1/events", json=event, headers=headers).raise_for_status()
            wait_until("the alert", lambda: service.ask("/v1/alerts")["items"], 10)
            wait_until("doctor's line", lambda: "timeout" in _doctor(service)["text"])
            server.released.set()
            server.hangs.clear()
            wait_until("doctor's line", lambda: "is accepted" in _doctor(service)["text"], PATIENCE_S)
