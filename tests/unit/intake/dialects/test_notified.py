"""Tools that send a message or an event in a format of their own: resticprofile, Alertmanager, Apprise, ntfy, CloudEvents."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from app.intake.dialects import alertmanager, apprise, cloudevents, ntfy, resticprofile
from app.intake.dialects.tool_request import Dialect, NotUnderstood, ToolRequest

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def read_one(
    dialect: Dialect, body: object = b"", *path: str, headers: Mapping[str, str] | None = None, **query: str
) -> list[dict]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = ToolRequest(path=path, query=list(query.items()), headers=headers or {}, body=data)
    return [dict(event) for event in dialect(request)]


def what(event: Mapping) -> tuple[str | None, str | None]:
    return event.get("phase"), event.get("outcome")


START, GOOD, ODD, BAD, PLAIN, UNCLEAR = ("started", None), ("finished", "success"), ("finished", "warning"), ("finished", "failure"), (None, None), ("finished", "unclear")  # fmt: skip


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
def test_resticprofiles_hook_is_named_in_its_address(path, query, body, found, message):
    (event,) = read_one(resticprofile.read, body, *path, profile="home", command="backup", **query)
    assert (what(event), event["job"], event["activity"]) == (found, "home", "backup")
    assert message is None or event["message"] == message


def test_resticprofiles_check_is_not_a_backup_and_its_output_has_amounts():
    assert read_one(resticprofile.read, b"", profile="home", command="check")[0]["activity"] == "verify"
    output = b"Added to the repository: 3.000 MiB (2 KiB stored)\nprocessed 11 files, 1.000 GiB in 1:00:01\nsnapshot 1a2b3c4d saved\n"
    metrics = read_one(resticprofile.read, output, command="backup")[0]["metrics"]
    assert (metrics["bytes_stored"], metrics["bytes_processed"], metrics["duration_s"]) == (2048, 2**30, 3601)
    with pytest.raises(NotUnderstood):
        read_one(resticprofile.read, b"", "sideways")


ALERT = {
    "status": "firing",
    "labels": {"alertname": "Old", "instance": "nas01:9100", "severity": "critical"},
    "annotations": {"summary": "30 h old"},
    "startsAt": "2026-11-23T02:00:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "ab",
}


def test_a_firing_alert_is_a_failure_of_its_own_job_until_it_is_resolved():
    over = {**ALERT, "status": "resolved", "endsAt": "2026-11-23T03:00:00Z"}
    bad, good = read_one(alertmanager.read, {"status": "firing", "alerts": [ALERT, over]})
    assert (what(bad), bad["severity"], bad["message"], bad["agent"]) == (BAD, "critical", "30 h old", "nas01")
    assert (what(good), good["occurred_at"][:16]) == (GOOD, "2026-11-23T03:00")
    assert bad["job"] == good["job"] == "Old (nas01:9100)"
    assert bad["activity"] == "other"  # it must not count as a backup


def test_an_alert_sent_again_is_the_same_event_and_another_disk_is_another_job():
    (first,), (again,) = (read_one(alertmanager.read, {"alerts": [ALERT]}) for _ in range(2))
    (later,) = read_one(alertmanager.read, {"alerts": [{**ALERT, "startsAt": "2026-11-24T02:00:00Z"}]})
    other = {**ALERT, "labels": {**ALERT["labels"], "disk": "b"}, "fingerprint": "cd"}
    assert first["key"] == again["key"] != later["key"]
    assert read_one(alertmanager.read, {"alerts": [other]})[0]["job"] != first["job"]
    without = {name: value for name, value in ALERT.items() if name != "fingerprint"}
    assert (
        read_one(alertmanager.read, {"alerts": [without]})[0]["key"]
        == read_one(alertmanager.read, {"alerts": [without]})[0]["key"]
    )


def test_omitted_and_broken_alerts_are_reported_and_do_not_cost_the_others():
    bad, rest = read_one(alertmanager.read, {"alerts": [ALERT, 7], "truncatedAlerts": 2})
    assert (what(bad), what(rest), rest["message"][:6]) == (BAD, ODD, "3 more")
    odd = {"status": 1, "labels": "x", "annotations": None, "startsAt": {}}
    assert what(read_one(alertmanager.read, {"alerts": [odd]})[0]) == BAD
    for body in ({"alerts": []}, {"alerts": {}}, b"x"):
        with pytest.raises(NotUnderstood):
            read_one(alertmanager.read, body)


@pytest.mark.parametrize(
    ("title", "text", "kind", "found", "message"),
    [
        ("Backup", "all well", "success", GOOD, "all well"),
        ("Backup", "x", "warning", ODD, "Backup"),
        ("Backup succeeded", "x", "failure", BAD, "Backup succeeded"),
        ("Backup failed", "x", "info", BAD, "Backup failed"),
        ("", "Backup failed", "info", BAD, "Backup failed"),
        ("Ping!", "Starting backup process.", "info", START, "Starting backup process."),
        ("Ping!", "Some info.\nError running actions\n", "info", BAD, "Ping!"),
        ("Ping!", "Some info.\nPinging Apprise services: json", "info", PLAIN, "Ping!"),
        ("nas01", "it is what it is", "info", UNCLEAR, "nas01"),
        ("Done", "all read\n/srv/x: file changed while we backed it up", "success", ODD, "/srv/x: file changed while we backed it up"),
    ],
)  # fmt: skip
def test_apprises_type_decides_unless_it_is_the_default(title, text, kind, found, message):
    xml = f"<a><Subject>{title}</Subject><Message>{text}</Message><MessageType>{kind}</MessageType></a>"
    for body in (
        {"version": "1.0", "title": title, "message": text, "type": kind},
        {"title": title, "body": text, "type": kind},
        xml.encode(),
        f"title={title}&message={text}&type={kind}".encode(),
    ):
        (event,) = read_one(apprise.read, body)
        assert (what(event), event["message"]) == (found, message)


def test_apprises_xml_is_read_and_any_other_body_is_a_message():
    (event,) = read_one(apprise.read, b"<Subject>a &lt;b&gt; &amp;amp;</Subject><Message>\xe2\x98\x83")
    assert event["message"] == "a <b> &amp;"
    assert what(read_one(apprise.read, b"backup failed")[0]) == BAD
    for body in (b"", b"<Subject/>", {"title": ""}, {"message": None, "type": []}):
        with pytest.raises(NotUnderstood):
            read_one(apprise.read, body)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"title": "Backup failed"}, BAD),
        ({"title": "Backup done ✔", "tags": ["heavy_check_mark"]}, GOOD),
        ({"title": "nas01", "tags": ["rotating_light", "tada"]}, BAD),
        ({"title": "nas01", "tags": ["warning"], "message": "completed"}, ODD),
        ({"title": "Backup started", "tags": ["borgmatic"]}, START),
        ({"title": "A Borgmatic FAIL event happened"}, BAD),
        ({"title": "A Borgmatic FINISH event happened"}, GOOD),
        ({"message": "3 errors while saving"}, BAD),
        ({"title": "nas01", "message": "hello", "priority": 5}, BAD),
        ({"title": "nas01", "message": "hello"}, UNCLEAR),
        ({"title": "Backup done", "tags": ["rotating_light"]}, BAD),
    ],
)
def test_ntfys_message_may_be_json_headers_or_query(fields: dict, found: tuple):
    flat = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in fields.items()}
    headers = {f"x-{name}": value.encode().decode("latin-1") for name, value in flat.items() if name != "message"}
    for (event,) in (
        read_one(ntfy.read, {"topic": "backups", **fields}),
        read_one(ntfy.read, flat.get("message", "").encode(), "backups", headers=headers),
        read_one(ntfy.read, b"", "backups", "publish", **flat),
    ):
        assert (what(event), event["job"], event["message"]) == (
            found,
            "backups",
            fields.get("title") or fields["message"],
        )
        assert event.get("severity") == ("critical" if fields.get("priority") else None)


@pytest.mark.parametrize("packed", ["=?UTF-8?B?QsO8cm8gZmFpbGVk?=", "=?iso-8859-1?Q?B=FCro_failed?="])
def test_ntfys_headers_may_contain_encoded_words(packed: str):
    """Many HTTP libraries send no UTF-8 in headers: https://docs.ntfy.sh/publish/ has them pack it, and a failure must be seen in that, too."""
    (event,) = read_one(ntfy.read, b"see the log", "backups", headers={"title": packed})
    assert (what(event), event["message"]) == (BAD, "Büro failed")


def test_ntfys_message_about_a_start_and_a_problem_is_not_a_start():
    (event,) = read_one(ntfy.read, b"backup started, 02:10 failed: no space", "backups")
    assert what(event) == BAD
    (event,) = read_one(ntfy.read, b"backup started, all ok so far", "backups")
    assert what(event) == START


def test_the_body_comes_before_the_message_header_and_an_empty_message_is_not_understood():
    (event,) = read_one(ntfy.read, b"disk full", "backups", headers={"m": "other", "t": "Backup failed"})
    assert (event["log"], event["message"]) == ("disk full", "Backup failed")
    with pytest.raises(NotUnderstood):
        read_one(ntfy.read, b"", "backups")


def event_of(**fields: object) -> dict:
    return {"specversion": "1.0", "id": "1", "source": "/hosts/nas01", "type": "org.example.backup.failed", **fields}


@pytest.mark.parametrize(
    ("kind", "data", "found"),
    [
        ("org.example.backup.failed", {"status": "ok"}, BAD),
        ("org.example.backup.failed.v1", None, BAD),
        ("Backup-Completed", {}, UNCLEAR),
        ("com.example.job.partial", {}, ODD),
        ("com.example.job.started", {}, START),
        ("com.example.job", {"status": "Succeeded"}, GOOD),
        ("com.example.job", {"state": "ended with errors"}, BAD),
        ("com.example.job", {"x": 1}, UNCLEAR),
        ("com.example.job", [1], UNCLEAR),
        ("com.example.job.progress", {"x": 1}, ("progress", None)),
    ],
)
def test_a_cloudevents_type_names_the_result_else_its_data(kind: str, data: object, found: tuple):
    (event,) = read_one(cloudevents.read, event_of(type=kind, data=data))
    assert (what(event), event["agent"]) == (found, "nas01")


def test_the_same_source_and_id_are_the_same_event_in_every_mode():
    attributes = event_of(subject="☃ daily", time="2026-11-23T01:00:00+01:00")
    binary = {f"ce-{name}": value for name, value in attributes.items()} | {
        "ce-subject": '"%E2%98%83%20daily"',
        "content-type": "text/plain",
    }
    (structured,) = read_one(cloudevents.read, {**attributes, "data": {"bytes": 7}})
    (packed,) = read_one(cloudevents.read, {**attributes, "data_base64": "eyJieXRlcyI6N30="})
    (headed,) = read_one(cloudevents.read, {"bytes": 7}, headers=binary)
    (other,) = read_one(cloudevents.read, event_of(source="/hosts/nas02"))
    for event in (structured, packed, headed):
        assert (event["key"], event["job"], event["metrics"]) == (structured["key"], "☃ daily", {"bytes_processed": 7})
        assert event["occurred_at"] == "2026-11-23T00:00:00+00:00"
    assert other["key"] != structured["key"]


def test_a_bad_event_in_a_batch_does_not_cost_the_others():
    first, odd, last = read_one(cloudevents.read, [event_of(), {"specversion": "1.0"}, event_of(id="2")])
    assert (what(first), odd["outcome"], what(last)) == (BAD, "unclear", BAD)
    assert "without id, source, type" in odd["message"]
    assert read_one(cloudevents.read, []) == []


@pytest.mark.parametrize("time", ["0000-00-00T00:00:00Z", "2026-11-23T02:00:00", 7, None, "9999-12-31T23:59:59-12:00"])
def test_a_cloudevent_with_an_impossible_time_is_still_an_event(time: object):
    assert "occurred_at" not in read_one(cloudevents.read, event_of(time=time))[0]
    leap = read_one(cloudevents.read, event_of(time="2016-12-31T23:59:60Z"))[0]
    assert leap["occurred_at"] == "2016-12-31T23:59:59+00:00"


@pytest.mark.parametrize("missing", ["id", "source", "type", "specversion"])
def test_a_cloudevent_without_a_required_attribute_is_not_understood(missing: str):
    whole = event_of()
    del whole[missing]
    with pytest.raises(NotUnderstood):
        read_one(cloudevents.read, whole, headers={"content-type": "application/cloudevents+json"})
    with pytest.raises(NotUnderstood):
        read_one(cloudevents.read, b"x", headers={f"ce-{name}": value for name, value in whole.items()})
