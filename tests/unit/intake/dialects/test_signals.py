"""Tools that report a run by an address or a single value: Uptime Kuma, Cronitor, Cronhub, Sentry's check-ins, Zabbix."""

import json
from datetime import UTC, datetime

import pytest

from app.intake.dialects import cronhub, cronitor, sentry_cron, uptime_kuma, zabbix
from app.intake.dialects.tool_request import Dialect, NotUnderstood, ToolRequest

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def read_one(dialect: Dialect, *path: str, body: object = b"", job: str | None = "daily", **query: str) -> dict:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    (event,) = dialect(ToolRequest(path=path, query=list(query.items()), body=data, job=job))
    return dict(event)


def what(event: dict) -> tuple[str | None, str | None]:
    return event.get("phase"), event.get("outcome")


START, GOOD, BAD = ("started", None), ("finished", "success"), ("finished", "failure")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, GOOD),
        ({"status": "up", "msg": "OK", "ping": "831"}, GOOD),
        ({"status": ""}, GOOD),
        ({"status": "down", "msg": "disk full"}, BAD),
        ({"status": "ok"}, BAD),  # as Kuma has it
        ({"status": "up", "msg": "start"}, START),
        ({"status": "up", "msg": "started the day well"}, GOOD),
        ({"status": "down", "msg": "start"}, BAD),
    ],
)
def test_a_push_is_up_down_or_a_start(query: dict[str, str], found: tuple[str, str]):
    event = read_one(uptime_kuma.read, **query)
    assert what(event) == found
    assert event["job"] == "daily"


@pytest.mark.parametrize(("ping", "seconds"), [("831", 0.831), ("-1", None), ("1e12", None), ("x", None), ("", None)])
def test_a_push_with_an_invalid_ping_is_still_a_push(ping: str, seconds: float | None):
    event = read_one(uptime_kuma.read, status="up", ping=ping)
    assert (event["outcome"], (event.get("metrics") or {}).get("ping_s")) == ("success", seconds)


def test_the_worse_of_two_statuses_counts_and_the_body_is_read_if_the_address_has_none():
    twice = ToolRequest(query=[("status", "up"), ("status", "down")])
    assert uptime_kuma.read(twice)[0]["outcome"] == "failure"
    assert read_one(uptime_kuma.read, body={"status": "down", "msg": "full"})["message"] == "full"
    assert read_one(uptime_kuma.read, body={"status": "down"}, status="up")["outcome"] == "success"


@pytest.mark.parametrize(
    ("path", "query", "found", "job"),
    [
        (("nightly",), {"state": "run"}, START, "nightly"),
        (("nightly",), {"state": "complete"}, GOOD, "nightly"),
        (("nightly",), {"state": "fail"}, BAD, "nightly"),
        (("nightly",), {"state": "ok"}, GOOD, "nightly"),
        (("nightly",), {}, GOOD, "nightly"),
        (("nightly",), {"state": "complete", "status_code": "2"}, BAD, "nightly"),
        (("run",), {}, START, "daily"),
        (("nightly", "fail"), {}, BAD, "nightly"),
        ((), {"state": "fail"}, BAD, "daily"),
    ],
)
def test_cronitors_state_is_in_query_or_path(path, query, found, job):
    event = read_one(cronitor.read, *path, **query)
    assert (what(event), event["job"]) == (found, job)


def test_cronitors_series_is_the_run_and_its_stamp_the_time():
    end = {"state": "complete", "series": "1795394301.01", "stamp": "1795394301.07", "metric": "duration:0.06"}
    event = read_one(cronitor.read, "nightly", **end)
    assert (event["run"], event["metrics"]["duration_s"]) == ("1795394301.01", 0.06)
    assert event["occurred_at"].startswith("2026-11-23T00:38:21")
    assert event["key"] == read_one(cronitor.read, "nightly", **end)["key"]
    assert "occurred_at" not in read_one(cronitor.read, "nightly", state="run", stamp="1e300")


@pytest.mark.parametrize(("state", "found"), [("start", START), ("finish", GOOD), ("ping", GOOD), ("fail", BAD)])
def test_cronhubs_state_precedes_the_key(state: str, found: tuple[str, str]):
    assert what(read_one(cronhub.read, state)) == found
    assert what(read_one(cronhub.read, state, "1f5e3410")) == found


def test_an_address_of_the_original_service_names_the_job_by_its_monitor():
    assert read_one(cronhub.read, "start", "1f5e3410", job=None)["job"] == "1f5e3410"
    assert read_one(cronhub.read, "start", "1f5e3410", job="photos")["job"] == "photos"
    moved = read_one(cronitor.read, "p", "their-key", "photos", state="fail")
    assert (what(moved), moved["job"]) == (BAD, "photos")


@pytest.mark.parametrize(("status", "found"), [("in_progress", START), ("ok", GOOD), ("error", BAD)])
def test_sentrys_check_in_is_read_from_query_or_json(status: str, found: tuple[str, str]):
    run = "83a7c03ed0a04e1b97e2e3b18d38f244"
    for event in (
        read_one(sentry_cron.read, "nightly", status=status, check_in_id=run),
        read_one(sentry_cron.read, "nightly", body={"status": status, "check_in_id": run, "monitor_config": {}}),
    ):
        assert (what(event), event["job"], event["run"]) == (found, "nightly", run)
    assert "run" not in read_one(sentry_cron.read, "nightly", status=status, check_in_id="0" * 32)


@pytest.mark.parametrize(
    ("value", "found"),
    [("STARTED", START), ("start", START), ("OK", GOOD), ("finish", GOOD), ("ERROR", BAD), ("fail", BAD)],
)
def test_a_value_pushed_to_zabbix_is_a_start_or_an_end(value: str, found: tuple[str, str]):
    call = {"method": "history.push", "params": {"host": "nas01", "key": "borg.status", "value": value}}
    event = read_one(zabbix.read, body=call, job=None)
    assert (what(event), event["agent"], event["job"]) == (found, "nas01", "borg.status")
    listed = {"method": "history.push", "params": [{"itemid": 55105, "value": value}]}
    assert read_one(zabbix.read, body=listed, job=None)["job"] == "55105"


def test_a_value_without_meaning_does_not_cost_the_other_one():
    values = [{"itemid": 1, "value": "42"}, {"itemid": 2, "value": "ERROR"}]
    body = json.dumps({"method": "history.push", "params": values}).encode()
    odd, bad = zabbix.read(ToolRequest(body=body))
    assert (odd["outcome"], bad["outcome"]) == ("unclear", "failure")


def test_a_zabbix_login_makes_no_event():
    assert zabbix.read(ToolRequest(body=b'{"method": "user.login", "params": {}}')) == []


@pytest.mark.parametrize(
    ("dialect", "tool_request"),
    [
        (cronitor.read, ToolRequest(path=("nightly", "sideways"))),
        (cronhub.read, ToolRequest(path=("begin",))),
        (cronhub.read, ToolRequest(path=("start", "1f5e3410", "more"))),
        (sentry_cron.read, ToolRequest(path=("nightly",), query=[("status", "exploded")])),
        (zabbix.read, ToolRequest(body=b'{"method": "history.push", "params": {"itemid": 1}}')),
        (zabbix.read, ToolRequest(body=b"<xml/>")),
    ],
)
def test_an_unknown_state_is_not_understood(dialect: Dialect, tool_request: ToolRequest):
    with pytest.raises(NotUnderstood):
        dialect(tool_request)
