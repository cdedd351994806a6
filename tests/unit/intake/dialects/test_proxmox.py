"""Proxmox by webhook, Gotify and mail. The title does not name the failed guests, so the table decides; each guest is a job."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.intake.dialects import gotify, mail, proxmox
from app.intake.dialects.proxmox import parse_guests
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MAIL = Path(__file__).parents[3] / "corpus" / "mail" / "composed-pve-failed.eml"
FAILED = "vzdump backup status (pve1.example.org): backup failed"
DONE = "vzdump backup status (pve1.example.org): backup successful"
HEAD = "VMID    Name    Status    Time     Size          Filename   "
WEB = "100     web     ok        1m 3s    12.345 GiB    vm/100/2026-11-23T01:00:00Z"
DB = "101     db-ü    err       5s       0 B           null"


def text(*rows: str, after: str = "") -> str:
    return "\n".join(
        ["", "Details", "=======", HEAD, *rows, "", "Total running time: 1m 8s", "Total size: 12.345 GiB", after]
    )


def read_one(title: str, message: str, *, job: str | None = None, **more: object) -> dict[str, dict]:
    body = json.dumps({"title": title, "message": message, **more}).encode()
    return {str(one.get("job")): dict(one) for one in proxmox.read(ToolRequest(body=body, job=job))}


def outcomes(events: dict[str, dict]) -> dict[str, str | None]:
    return {job: event.get("outcome") for job, event in events.items()}


@pytest.mark.parametrize(
    ("title", "rows", "found"),
    [
        (DONE, [WEB], {"web (100)": "success", "vzdump on pve1": "success"}),
        (FAILED, [WEB, DB], {"web (100)": "success", "db-ü (101)": "failure", "vzdump on pve1": "warning"}),
        (FAILED, [DB], {"db-ü (101)": "failure", "vzdump on pve1": "failure"}),
        (FAILED, [], {"vzdump on pve1": "failure"}),
        (FAILED, [WEB], {"web (100)": "success", "vzdump on pve1": "failure"}),
        (DONE, [WEB, DB], {"web (100)": "success", "db-ü (101)": "failure", "vzdump on pve1": "warning"}),
        (f"{FAILED}: no storage", [WEB, DB], {"web (100)": "success", "db-ü (101)": "failure", "vzdump on pve1": "failure"}),
        (FAILED, [WEB, DB.replace("err ", "todo")], {"web (100)": "success", "db-ü (101)": "failure", "vzdump on pve1": "warning"}),
        (FAILED, [WEB, DB.replace("err ", "odd ")], {"web (100)": "success", "db-ü (101)": "failure", "vzdump on pve1": "warning"}),
        (FAILED, [DB, WEB, DB, WEB], {"web (100)": "success", "db-ü (101)": "failure", "vzdump on pve1": "warning"}),
    ],
)  # fmt: skip
def test_the_table_names_the_failed_guests(title: str, rows: list[str], found: dict[str, str]):
    assert outcomes(read_one(title, text(*rows))) == found


def test_each_guest_has_its_own_log_reason_and_amounts():
    log = "100: 02:00 INFO: Finished\n101: 02:01 ERROR: first\n101: 02:02 ERROR: last\n1010: ERROR: another guest's"
    events = read_one(
        FAILED, text(WEB, DB, after=log), timestamp=1795395791, fields={"hostname": "pve1", "job-id": "nightly"}
    )
    web, db, whole = events["web (100)"], events["db-ü (101)"], events["vzdump nightly on pve1"]
    assert (db["message"], db["log"]) == ("last", "101: 02:01 ERROR: first\n101: 02:02 ERROR: last")
    assert web["metrics"] == {"duration_s": 63, "bytes_stored": 12.345 * 1024**3}
    assert whole["metrics"] == {"duration_s": 68, "guests": 2, "guests_failed": 1}
    assert (whole["message"], whole["agent"]) == ("1 of 2 guests failed: db-ü (101)", "pve1")
    assert (db["labels"], db["occurred_at"]) == (
        {"tool": "proxmox", "job_id": "nightly", "vmid": "101"},
        "2026-11-23T01:03:11+00:00",
    )


def test_another_nodes_success_does_not_hide_a_failure_of_the_same_job():
    fields = {"job-id": "nightly"}
    bad = read_one(f"{FAILED}: no storage", text(), fields={**fields, "hostname": "pve1"})
    good = read_one(DONE, text(WEB), fields={**fields, "hostname": "pve2.example.org"})
    assert outcomes(bad) == {"vzdump nightly on pve1": "failure"}
    assert outcomes(good) == {"web (100)": "success", "vzdump nightly on pve2": "success"}


def test_jobs_of_one_kind_on_one_datastore_stay_separate_however_they_are_sent():
    title, body = (
        "Sync remote 'offsite' datastore 'main' failed",
        "Job ID:             s-77\nDatastore:          main\n",
    )
    name = "Sync remote 'offsite' datastore 'main' (s-77)"
    assert list(read_one(title, body)) == list(read_one(title, "-", fields={"job-id": "s-77"})) == [name]
    assert list(read_one("Tape Backup 'weekly' datastore 'main' failed", "Job ID:     weekly\n")) == [
        "Tape Backup 'weekly' datastore 'main'"
    ]


@pytest.mark.parametrize(
    ("title", "job", "outcome"),
    [
        ("New software packages available (pve1)", "package-updates", None),
        ("Test notification", "test", None),
        ("Could not renew certificate", "acme", None),
        ("Load Media 'TAPE01' request for LTO drive 'drive0'", "tape-load", "warning"),
        ("FENCE: Try to fence node 'pve2'", "fencing", "failure"),
        ("SUCCEED: fencing: acknowledged - got agent lock for node 'pve2'", "fencing", None),
    ],
)
def test_a_notification_that_is_not_about_a_backup_is_the_same_by_gotify_and_mail(
    title: str, job: str, outcome: str | None
):
    message = "Package\tlibgpg-error0: an update failed to be boring"
    body = json.dumps({"title": title, "message": message, "priority": 1}).encode()
    mail_bytes = f"Subject: {title}\r\n\r\n{message}\r\n".encode()
    for event in (*gotify.read(ToolRequest(body=body)), *mail.read(ToolRequest(body=mail_bytes))):
        assert (event.get("job"), event.get("outcome"), event.get("activity")) == (job, outcome, "other")


def test_several_problems_are_listed_from_the_first_lines():
    whole = read_one(f"{FAILED}: multiple problems", "job errors\nhook script failed\n" + text(WEB))["vzdump on pve1"]
    assert whole["message"] == "job errors; hook script failed"


@pytest.mark.parametrize(
    "name", ["'; DROP TABLE vm;--", "ok", "VM 100", "<b>{{ 7*7 }}</b>", "../../x", "\u202egnp", "err  ok"]
)
def test_a_guest_may_have_any_name(name: str):
    (guest,) = parse_guests(f"{HEAD}\n100     {name}     err     5s    0 B    ok\n")
    assert (guest.vmid, guest.outcome) == ("100", "failure")


def test_the_table_of_older_mails_is_parsed():
    old = (
        "VMID NAME                 STATUS     TIME           SIZE  FILENAME\n"
        "100  web                  OK     00:01:03        12.34GB  /mnt/vzdump-qemu-100.vma\n"
        "10001 db                  FAILED 00:00:05  command 'lxc' failed: exit code 255\n"
        "TOTAL                           00:01:08        12.34GB\n"
    )
    web, db = parse_guests(old)
    assert (web.name, web.outcome, web.duration_s, web.size) == ("web", "success", 63, 12.34e9)
    assert (db.vmid, db.outcome, db.reason) == ("10001", "failure", "command 'lxc' failed: exit code 255")


def test_with_too_many_guests_the_failed_ones_are_reported():
    rows = [f"{number}   g{number}   ok   1s   1 B   x" for number in range(2000)] + [DB.replace("101 ", "9999")]
    events = read_one(FAILED, text(*rows))
    assert len(events) <= 1000
    assert events["db-ü (9999)"]["outcome"] == "failure"
    assert events["vzdump on pve1"]["metrics"]["guests"] == 2001


@pytest.mark.parametrize(
    ("title", "kind", "severity", "found"),
    [
        ("Garbage Collect Datastore 'main' failed", "gc", "error", ("prune", "failure")),
        ("Pruning datastore 'main' successful", "prune", "info", ("prune", "success")),
        ("Verify Datastore 'main' failed", "verification", "error", ("verify", "failure")),
        ("Sync remote 'offsite' datastore 'main' failed", "", "", ("replicate", "failure")),
        ("Tape Backup 'weekly' datastore 'main' failed", "tape-backup", "error", ("backup", "failure")),
        ("Replication Job: '100-0' failed", "replication", "error", ("replicate", "failure")),
        ("Load Media 'T1' request", "tape-load", "notice", ("other", "warning")),
        ("Node fence status: node 'pve2'", "fencing", "error", ("other", "failure")),
        ("New software packages available", "package-updates", "info", ("other", None)),
        ("Test notification", "test", "info", ("other", None)),
        ("SMART error", "system-mail", "unknown", ("other", None)),
    ],
)
def test_other_notifications_have_their_own_activity_and_outcome(
    title: str, kind: str, severity: str, found: tuple[str, str | None]
):
    (event,) = read_one(title, "-", severity=severity, fields={"type": kind} if kind else {}).values()
    assert (event["activity"], event.get("outcome")) == found


def test_a_verification_names_the_failed_items_and_an_unknown_severity_is_a_warning():
    bad = "Datastore: main\n\nVerification failed on these snapshots/groups:\n\n  vm/100/a\n  ct/101/b\n\nPlease visit"
    (event,) = read_one("Verify Datastore 'main' failed", bad).values()
    assert event["message"] == "Verification failed on these snapshots/groups: vm/100/a, ct/101/b"
    in_a_row = bad.replace("vm/100/a\n", "vm/100/a   ")
    assert (
        read_one("Verify Datastore 'main' failed", in_a_row)["Verify Datastore 'main'"]["message"] == event["message"]
    )
    (event,) = read_one("SMART error", "-", severity="unknown", fields={"type": "system-mail"}).values()
    assert event["severity"] == "warning"


def test_a_backup_servers_host_is_read_from_its_link():
    body = {
        "title": "Verify Datastore 'main' failed",
        "message": "-\n<https://pbs1.example.org:8007/#x>\n",
        "priority": 9,
    }
    (event,) = gotify.read(ToolRequest(body=json.dumps(body).encode()))
    assert (event.get("agent"), event.get("job")) == ("pbs1.example.org", "Verify Datastore 'main'")


def test_the_same_report_has_the_same_jobs_by_webhook_gotify_and_mail():
    by_webhook = read_one(FAILED, text(WEB, DB))
    body = {"title": FAILED, "message": f"```\n{text(WEB, DB)}\n```", "priority": 9}
    by_gotify = {
        str(one.get("job")): one.get("outcome") for one in gotify.read(ToolRequest(body=json.dumps(body).encode()))
    }
    mail_bytes = f"Subject: {FAILED}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text(WEB, DB)}".replace(
        "\n", "\r\n"
    )
    by_mail = {str(one.get("job")): one.get("outcome") for one in mail.read(ToolRequest(body=mail_bytes.encode()))}
    assert (
        outcomes(by_webhook)
        == by_gotify
        == by_mail
        == {"web (100)": "success", "db-ü (101)": "failure", "vzdump on pve1": "warning"}
    )


def test_a_recorded_mail_has_a_job_for_each_guest_and_the_same_keys_each_time():
    events, again = (mail.read(ToolRequest(body=MAIL.read_bytes())) for _ in range(2))
    assert {one.get("job"): one.get("outcome") for one in events} == {
        "web (100)": "success",
        "db (101)": "failure",
        "vzdump on pve1": "warning",
    }
    assert [one.get("key") for one in events] == [one.get("key") for one in again]
    assert len({one.get("key") for one in events}) == 3


def test_the_keys_job_precedes_the_guests_names():
    assert set(read_one(FAILED, text(WEB), job="cluster")) == {"cluster web (100)", "cluster"}


def test_json_of_a_template_without_escape_is_read():
    body = f'{{"title": "{FAILED}", "message": "{text(WEB, DB)}", "severity": "error"}}'
    for broken in (body, body.replace("\n", "\\n") + "}}", body[:-1]):
        jobs = {one.get("job"): one.get("outcome") for one in proxmox.read(ToolRequest(body=broken.encode()))}
        assert jobs == {"web (100)": "success", "db-ü (101)": "failure", "vzdump on pve1": "warning"}


@pytest.mark.parametrize("body", [b"", b"{}", b'{"title": ""}', b"[1]", b"\xff\xfe\x00"])
def test_a_body_without_a_title_is_not_understood(body: bytes):
    with pytest.raises(NotUnderstood):
        proxmox.read(ToolRequest(body=body))


@pytest.mark.parametrize("stamp", [0, -1, 1e300, "x", None, 10**400, True])
def test_an_invalid_time_is_left_out(stamp: object):
    assert "occurred_at" not in read_one(DONE, text(WEB), timestamp=stamp)["vzdump on pve1"]


def test_the_same_notification_from_two_targets_has_the_same_key():
    first, second, other = (
        {event["key"] for event in read_one(DONE, text(WEB), timestamp=1795395791, severity=level).values()}
        for level in ("info", "info", "x")
    )
    assert first == second
    assert not first & other
