"""A tool's request that states a name twice with different values proves no success, whichever value comes last."""

from collections.abc import Mapping, Sequence

import pytest

from app.intake.accept import run_dialect
from app.intake.dialects import (
    alertmanager,
    apprise,
    backrest,
    borg,
    cloudevents,
    cronitor,
    duplicati,
    gotify,
    healthchecks,
    kopia,
    ntfy,
    pagerduty,
    proxmox,
    pushover,
    restic,
    resticprofile,
    sentry_cron,
    synology,
    uptime_kuma,
    zabbix,
)
from app.intake.dialects.tool_request import ToolRequest

BAD_OR_UNKNOWN = {"failure", "warning", "unclear"}
CE = '"specversion":"1.0","id":"1","source":"/h","type":"backup"'
# {} stands for two pairs of JSON, of which each alone is read as the outcome that its name in `pairs` says.
JSON_CASES = [
    (alertmanager, '{{"alerts":[{{"labels":{{"alertname":"B"}},{}}}]}}', '"status":"firing"', '"status":"resolved"'),
    (apprise, '{{"title":"Backup of sql01",{}}}', '"type":"failure"', '"type":"success"'),
    (apprise, '{{"title":"Backup of sql01",{}}}', '"message":"it failed"', '"message":"it completed successfully"'),
    (backrest, '{{"plan":"p",{}}}', '"event":"snapshot error"', '"event":"snapshot success"'),
    (borg, '{{"type":"log_message","message":"x",{}}}\n{{"archive":{{"name":"a","stats":{{}}}}}}', '"levelname":"ERROR"', '"levelname":"INFO"'),
    (cloudevents, f"{{{{{CE},{{}}}}}}", '"data":{"outcome":"failure"}', '"data":{"outcome":"success"}'),
    (cloudevents, f'{{{{{CE},"data":{{{{{{}}}}}}}}}}', '"outcome":"failure"', '"outcome":"success"'),
    (duplicati, '{{"Data":{{"MainOperation":"Backup",{}}},"Extra":{{}}}}', '"ParsedResult":"Error"', '"ParsedResult":"Success"'),
    (gotify, '{{"title":"Backup of sql01",{}}}', '"message":"it failed"', '"message":"it completed successfully"'),
    (kopia, '{{"hostname":"h","snapshots":[{{"path":"/p",{}}}]}}', '"status":"fatal"', '"status":"success"'),
    (ntfy, '{{"title":"Backup of sql01",{}}}', '"message":"it failed"', '"message":"it completed successfully"'),
    (pagerduty, '{{"payload":{{"summary":"b","source":"h","severity":"error"}},{}}}', '"event_action":"trigger"', '"event_action":"resolve"'),
    (proxmox, '{{"message":"",{}}}', '"title":"vzdump backup status (pve): backup failed"', '"title":"vzdump backup status (pve): backup successful"'),
    (pushover, '{{"title":"Backup of sql01",{}}}', '"message":"it failed"', '"message":"it completed successfully"'),
    (restic, '{{"message_type":"summary","snapshot_id":"1a2b3c4d"}}\n{{"message_type":"exit_error",{}}}', '"code":1', '"code":0'),
    (resticprofile, '{{"profileName":"p",{}}}', '"exitCode":"1"', '"exitCode":"0"'),
    (sentry_cron, "{{{}}}", '"status":"error"', '"status":"ok"'),
    (sentry_cron, "{{{}}}", '"status":"error"', '"status":"in_progress"'),
    (synology, "{{{}}}", '"text":"Backup task failed"', '"text":"Backup task completed successfully"'),
    (uptime_kuma, "{{{}}}", '"status":"down"', '"status":"up"'),
    (zabbix, '{{"method":"history.push","params":[{{"host":"h","key":"k",{}}}]}}', '"value":"failed"', '"value":"ok"'),
    (zabbix, '{{"params":[{{"host":"h","key":"k","value":"failed"}}],{}}}', '"method":"history.push"', '"method":"user.login"'),
]  # fmt: skip


def outcomes(
    tool, body: bytes = b"", *, query: Sequence = (), path: Sequence = (), headers: Mapping | None = None
) -> list:
    request = ToolRequest(path=path, query=list(query), headers=headers or {}, body=body)
    return [event.get("outcome") for event in run_dialect(tool.TOOL, tool.read, request)]


@pytest.mark.parametrize(("tool", "template", "bad", "good"), JSON_CASES)
def test_json_that_states_a_name_twice_is_no_success(tool, template: str, bad: str, good: str):
    escaped = bad.replace(bad[1], f"\\u{ord(bad[1]):04x}", 1)
    for first, second in ((bad, good), (good, bad), (escaped, good)):
        found = outcomes(tool, template.format(f"{first},{second}").encode())
        assert found, (first, second)
        assert set(found) <= BAD_OR_UNKNOWN, (first, second)
    for one in (bad, good):
        assert outcomes(tool, template.format(f"{one},{one}").encode()) == outcomes(tool, template.format(one).encode())


@pytest.mark.parametrize(("tool", "template", "bad", "good"), JSON_CASES)
def test_the_same_json_with_one_of_the_values_is_read_as_before(tool, template: str, bad: str, good: str):
    assert set(outcomes(tool, template.format(bad).encode())) & {"failure", "warning"}
    assert set(outcomes(tool, template.format(good).encode())) <= {"success", None}


@pytest.mark.parametrize(
    ("tool", "bad", "good"),
    [
        (apprise, "message=it failed", "message=it completed successfully"),
        (gotify, "message=it failed", "message=it completed successfully"),
        (pushover, "message=it failed", "message=it completed successfully"),
        (synology, "text=Backup task failed", "text=Backup task completed successfully"),
    ],
)
def test_a_form_that_states_a_name_twice_is_no_success(tool, bad: str, good: str):
    assert outcomes(tool, f"title=Backup&{good}".encode()) == ["success"]
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, _, text in (one.partition("=") for one in ("title=Backup", bad, good))
    )
    multipart = {"content-type": "multipart/form-data; boundary=x"}
    cases = [(f"title=Backup&{a}&{b}", {}) for a, b in ((bad, good), (good, bad))]
    if tool is not pushover:  # reads no multipart
        cases.append((f"{parts}--x--\r\n", multipart))
    for body, headers in cases:
        found = outcomes(tool, body.encode(), headers=headers)
        assert found, body
        assert set(found) <= BAD_OR_UNKNOWN, body


@pytest.mark.parametrize(
    ("tool", "path", "name", "bad", "good"),
    [
        (cronitor, ("m",), "state", "fail", "complete"),
        (cronitor, ("m",), "status_code", "1", "0"),
        (gotify, (), "message", "Backup failed", "Backup completed successfully"),
        (healthchecks, (), "exit_code", "1", "0"),
        (ntfy, ("t",), "message", "Backup failed", "Backup completed successfully"),
        (restic, (), "exit_code", "1", "0"),
        (resticprofile, (), "exit_code", "1", "0"),
        (sentry_cron, ("m",), "status", "error", "ok"),
        (uptime_kuma, (), "status", "down", "up"),
        (uptime_kuma, (), "msg", "Backup failed", "OK"),
    ],
)
def test_an_address_that_states_a_parameter_twice_is_no_success(tool, path: Sequence, name: str, bad: str, good: str):
    for first, second in ((bad, good), (good, bad)):
        found = outcomes(tool, query=[(name, first), (name, second)], path=path)
        assert found
        assert set(found) <= BAD_OR_UNKNOWN, (first, second)
    assert outcomes(tool, query=[(name, good), (name, good)], path=path) == outcomes(
        tool, query=[(name, good)], path=path
    )


def test_parameters_that_are_lists_may_be_repeated():
    query = [("state", "complete"), ("metric", "count:3"), ("metric", "error_count:0")]
    assert outcomes(cronitor, query=query, path=("m",)) == ["success"]


def test_the_event_says_which_name_is_repeated():
    body = b'{"status":"error","status":"ok"}'
    (event,) = run_dialect("sentry-cron", sentry_cron.read, ToolRequest(path=("m",), body=body))
    assert event["job"] == "m"
    assert event["extra"]["reading"]["rule"] == "it states status twice: error and ok"
