"""Tools that send a message or an event of their own shape: resticprofile, Alertmanager, Apprise, ntfy, CloudEvents."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from app.intake.dialects import alertmanager, apprise, cloudevents, ntfy, resticprofile
from app.intake.dialects.tool_request import Dialect, NotUnderstood, ToolRequest

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def heard(
    dialect: Dialect, body: object = b"", *path: str, headers: Mapping[str, str] | None = None, **query: str
) -> list[dict]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = ToolRequest(path=path, query=list(query.items()), headers=headers or {}, body=data)
    return [dict(event) for event in dialect(said)]


def what(event: Mapping) -> tuple[str | None, str | None]:
    return event.get("phase"), event.get("outcome")


START, GOOD, ODD, BAD, PLAIN = ("started", None), ("finished", "success"), ("finished", "warning"), ("finished", "failure"), (None, None)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "query", "body", "found", "message"),
    [
        (("start",), {}, b"", START, None),
        ((), {}, b"", GOOD, None),
        (("fail",), {}, b"", BAD, "exit code 1"),
        (("fail",), {"error": "run-before: exit status 1"}, b"", BAD, "run-before: exit status 1"),
        (("fail",), {"exit_code": "3"}, b"", ODD, "some files could not be read (exit code 3)"),
        (("fail",), {"exit_code": "12"}, b"Fatal: wrong password", BAD, "wrong password"),
        (("finally",), {}, {"exitCode": "", "Stdout": "snapshot 1a2b3c4d saved"}, GOOD, None),
        (("finally",), {}, {"Error": {"ExitCode": "1", "Message": "x failed", "Stderr": ""}}, BAD, "x failed"),
        (("finally",), {"exit_code": "1"}, b'{"stderr": "a "b" c"}', BAD, None),
    ],
)
def test_a_hook_of_resticprofile_says_which_one_it_is_by_its_address(path, query, body, found, message):
    (event,) = heard(resticprofile.read, body, *path, profile="home", command="backup", **query)
    assert (what(event), event["job"], event["activity"]) == (found, "home", "backup")
    assert message is None or event["message"] == message


def test_a_check_of_resticprofile_is_no_backup_and_its_output_brings_amounts():
    assert heard(resticprofile.read, b"", profile="home", command="check")[0]["activity"] == "verify"
    output = b"Added to the repository: 3.000 MiB (2 KiB stored)\nprocessed 11 files, 1.000 GiB in 1:00:01\nsnapshot 1a2b3c4d saved\n"
    metrics = heard(resticprofile.read, output, command="backup")[0]["metrics"]
    assert (metrics["bytes_stored"], metrics["bytes_processed"], metrics["duration_s"]) == (2048, 2**30, 3601)
    with pytest.raises(NotUnderstood):
        heard(resticprofile.read, b"", "sideways")


ALERT = {
    "status": "firing",
    "labels": {"alertname": "Old", "instance": "nas01:9100", "severity": "critical"},
    "annotations": {"summary": "30 h old"},
    "startsAt": "2026-11-23T02:00:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "ab",
}


def test_an_alert_that_fires_is_a_failure_of_its_own_job_and_well_when_it_is_resolved():
    over = {**ALERT, "status": "resolved", "endsAt": "2026-11-23T03:00:00Z"}
    bad, good = heard(alertmanager.read, {"status": "firing", "alerts": [ALERT, over]})
    assert (what(bad), bad["severity"], bad["message"], bad["agent"]) == (BAD, "critical", "30 h old", "nas01")
    assert (what(good), good["occurred_at"][:16]) == (GOOD, "2026-11-23T03:00")
    assert bad["job"] == good["job"] == "Old (nas01:9100)"
    assert bad["activity"] == "other"  # it must not count as a backup


def test_an_alert_told_again_is_the_same_event_and_another_disk_is_another_job():
    (first,), (again,) = (heard(alertmanager.read, {"alerts": [ALERT]}) for _ in range(2))
    (later,) = heard(alertmanager.read, {"alerts": [{**ALERT, "startsAt": "2026-11-24T02:00:00Z"}]})
    other = {**ALERT, "labels": {**ALERT["labels"], "disk": "b"}, "fingerprint": "cd"}
    assert first["key"] == again["key"] != later["key"]
    assert heard(alertmanager.read, {"alerts": [other]})[0]["job"] != first["job"]
    without = {name: value for name, value in ALERT.items() if name != "fingerprint"}
    assert (
        heard(alertmanager.read, {"alerts": [without]})[0]["key"]
        == heard(alertmanager.read, {"alerts": [without]})[0]["key"]
    )


def test_alerts_that_are_left_out_or_broken_are_told_of_and_cost_the_others_nothing():
    bad, rest = heard(alertmanager.read, {"alerts": [ALERT, 7], "truncatedAlerts": 2})
    assert (what(bad), what(rest), rest["message"][:6]) == (BAD, ODD, "3 more")
    odd = {"status": 1, "labels": "x", "annotations": None, "startsAt": {}}
    assert what(heard(alertmanager.read, {"alerts": [odd]})[0]) == BAD
    for body in ({"alerts": []}, {"alerts": {}}, b"x"):
        with pytest.raises(NotUnderstood):
            heard(alertmanager.read, body)


@pytest.mark.parametrize(
    ("title", "text", "kind", "found", "message"),
    [
        ("Backup", "all well", "success", GOOD, "Backup"),
        ("Backup", "x", "warning", ODD, "Backup"),
        ("Backup succeeded", "x", "failure", BAD, "Backup succeeded"),
        ("Backup failed", "x", "info", BAD, "Backup failed"),
        ("", "Backup failed", "info", BAD, "Backup failed"),
        ("Ping!", "Starting backup process.", "info", START, "Starting backup process."),
        ("Ping!", "Some info.\nError running actions\n", "info", PLAIN, "Ping!"),
        ("Done", "/srv/x: file changed while we backed it up", "success", ODD, "/srv/x: file changed while we backed it up"),
    ],
)  # fmt: skip
def test_apprise_s_type_is_trusted_unless_it_is_the_one_that_nobody_chose(title, text, kind, found, message):
    xml = f"<a><Subject>{title}</Subject><Message>{text}</Message><MessageType>{kind}</MessageType></a>"
    for body in (
        {"version": "1.0", "title": title, "message": text, "type": kind},
        {"title": title, "body": text, "type": kind},
        xml.encode(),
        f"title={title}&message={text}&type={kind}".encode(),
    ):
        (event,) = heard(apprise.read, body)
        assert (what(event), event["message"]) == (found, message)


def test_apprise_s_xml_is_unpacked_and_a_body_of_no_kind_is_a_message():
    (event,) = heard(apprise.read, b"<Subject>a &lt;b&gt; &amp;amp;</Subject><Message>\xe2\x98\x83")
    assert event["message"] == "a <b> &amp;"
    assert what(heard(apprise.read, b"backup failed")[0]) == BAD
    for body in (b"", b"<Subject/>", {"title": ""}, {"message": None, "type": []}):
        with pytest.raises(NotUnderstood):
            heard(apprise.read, body)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"title": "Backup failed"}, BAD),
        ({"title": "Backup done ✔", "tags": ["heavy_check_mark"]}, GOOD),
        ({"title": "nas01", "tags": ["rotating_light", "tada"]}, BAD),
        ({"title": "nas01", "tags": ["warning"], "message": "completed"}, ODD),
        ({"title": "Backup started", "tags": ["borgmatic"]}, START),
        ({"title": "A Borgmatic FAIL event happened"}, BAD),
        ({"message": "3 errors while saving"}, BAD),
        ({"title": "nas01", "message": "hello", "priority": 5}, PLAIN),
    ],
)
def test_a_message_of_ntfy_comes_as_json_in_headers_or_in_the_query(given: dict, found: tuple):
    flat = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in given.items()}
    headers = {f"x-{name}": value.encode().decode("latin-1") for name, value in flat.items() if name != "message"}
    for (event,) in (
        heard(ntfy.read, {"topic": "backups", **given}),
        heard(ntfy.read, flat.get("message", "").encode(), "backups", headers=headers),
        heard(ntfy.read, b"", "backups", "publish", **flat),
    ):
        assert (what(event), event["job"], event["message"]) == (
            found,
            "backups",
            given.get("title") or given["message"],
        )
        assert event.get("severity") == ("critical" if given.get("priority") else None)


@pytest.mark.parametrize("packed", ["=?UTF-8?B?QsO8cm8gZmFpbGVk?=", "=?iso-8859-1?Q?B=FCro_failed?="])
def test_a_header_of_ntfy_may_be_packed_as_in_a_mail(packed: str):
    """Many HTTP libraries send no UTF-8 in headers: https://docs.ntfy.sh/publish/ has them pack it, and a failure must be seen in that, too."""
    (event,) = heard(ntfy.read, b"see the log", "backups", headers={"title": packed})
    assert (what(event), event["message"]) == (BAD, "Büro failed")


def test_a_message_of_ntfy_that_tells_of_a_start_and_of_a_trouble_is_no_start():
    (event,) = heard(ntfy.read, b"backup started, 02:10 failed: no space", "backups")
    assert what(event) == BAD
    (event,) = heard(ntfy.read, b"backup started, all ok so far", "backups")
    assert what(event) == START


def test_a_body_goes_before_a_message_in_a_header_and_an_empty_one_is_not_understood():
    (event,) = heard(ntfy.read, b"disk full", "backups", headers={"m": "other", "t": "Backup failed"})
    assert (event["log"], event["message"]) == ("disk full", "Backup failed")
    with pytest.raises(NotUnderstood):
        heard(ntfy.read, b"", "backups")


def event_of(**given: object) -> dict:
    return {"specversion": "1.0", "id": "1", "source": "/hosts/nas01", "type": "org.example.backup.failed", **given}


@pytest.mark.parametrize(
    ("kind", "data", "found"),
    [
        ("org.example.backup.failed", {"status": "ok"}, BAD),
        ("org.example.backup.failed.v1", None, BAD),
        ("Backup-Completed", {}, GOOD),
        ("com.example.job.partial", {}, ODD),
        ("com.example.job.started", {}, START),
        ("com.example.job", {"status": "Succeeded"}, GOOD),
        ("com.example.job", {"state": "ended with errors"}, BAD),
        ("com.example.job", {"x": 1}, PLAIN),
        ("com.example.job", [1], PLAIN),
    ],
)
def test_a_cloudevent_s_type_says_what_happened_else_its_data(kind: str, data: object, found: tuple):
    (event,) = heard(cloudevents.read, event_of(type=kind, data=data))
    assert (what(event), event["agent"]) == (found, "nas01")


def test_the_same_source_and_id_are_the_same_event_however_it_is_packed():
    attributes = event_of(subject="☃ daily", time="2026-11-23T01:00:00+01:00")
    binary = {f"ce-{name}": value for name, value in attributes.items()} | {
        "ce-subject": '"%E2%98%83%20daily"',
        "content-type": "text/plain",
    }
    (structured,) = heard(cloudevents.read, {**attributes, "data": {"bytes": 7}})
    (packed,) = heard(cloudevents.read, {**attributes, "data_base64": "eyJieXRlcyI6N30="})
    (headed,) = heard(cloudevents.read, {"bytes": 7}, headers=binary)
    (other,) = heard(cloudevents.read, event_of(source="/hosts/nas02"))
    for event in (structured, packed, headed):
        assert (event["key"], event["job"], event["metrics"]) == (structured["key"], "☃ daily", {"bytes_processed": 7})
        assert event["occurred_at"] == "2026-11-23T00:00:00+00:00"
    assert other["key"] != structured["key"]


def test_one_bad_event_of_a_batch_costs_the_others_nothing():
    first, odd, last = heard(cloudevents.read, [event_of(), {"specversion": "1.0"}, event_of(id="2")])
    assert (what(first), odd["outcome"], what(last)) == (BAD, "warning", BAD)
    assert "without id, source, type" in odd["message"]
    assert heard(cloudevents.read, []) == []


@pytest.mark.parametrize("time", ["0000-00-00T00:00:00Z", "2026-11-23T02:00:00", 7, None, "9999-12-31T23:59:59-12:00"])
def test_a_cloudevent_with_an_impossible_time_is_an_event_all_the_same(time: object):
    assert "occurred_at" not in heard(cloudevents.read, event_of(time=time))[0]
    leap = heard(cloudevents.read, event_of(time="2016-12-31T23:59:60Z"))[0]
    assert leap["occurred_at"] == "2016-12-31T23:59:59+00:00"


@pytest.mark.parametrize("missing", ["id", "source", "type", "specversion"])
def test_what_the_standard_requires_is_required(missing: str):
    whole = event_of()
    del whole[missing]
    with pytest.raises(NotUnderstood):
        heard(cloudevents.read, whole, headers={"content-type": "application/cloudevents+json"})
    with pytest.raises(NotUnderstood):
        heard(cloudevents.read, b"x", headers={f"ce-{name}": value for name, value in whole.items()})
