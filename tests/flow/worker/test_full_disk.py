"""A disk that fills while the service runs is named everywhere, reported by mail in the room that was kept for it, and costs no accepted event."""

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import tocsin
from tests.support.ports import lasting_port
from tests.support.running import CLIENT, LOG, Running, serving, wait_until
from tests.support.small_disk import SmallDisk, failing_disk, small_disk

pytestmark = [pytest.mark.slow, pytest.mark.needs("root:mount")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "var", "24m") as disk:
        yield disk


def post(service: Running, key: str, outcome: str) -> tuple[int, str | None]:
    body = {"agent": "sql01", "job": "nightly", "outcome": outcome, "key": key, "log": "x" * 20_000}
    headers = {"Authorization": f"Bearer {service.enrol_key}"}
    answer = CLIENT.post(f"{service.url}/v1/events", json=body, headers=headers)
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) >= 1
    return answer.status_code, answer.json().get("code")


def mail(service: Running, port: int, subject: str) -> tuple[int, bytes]:
    """Send a mail as a tool does that can only mail, and return the answer to it."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
        smtp.ehlo()
        smtp.mail("nas@example.org")
        smtp.rcpt(f"{service.enrol_key}@tocsin.example.org")
        text = f"From: nas@example.org\r\nSubject: {subject}\r\nMessage-ID: <{subject.encode().hex()}@nas>\r\n\r\nSee above.\r\n"
        return smtp.data(text)


def database_check(service: Running) -> tuple[int, dict]:
    answer = CLIENT.get(f"{service.url}/readyz")
    return answer.status_code, next(one for one in answer.json()["checks"] if one["name"] == "database")


def mails(disk: SmallDisk) -> str:
    return "".join(path.read_text() for path in (disk.folder / "mail").glob("*.eml"))


def test_a_full_disk_is_named_mailed_and_over_when_there_is_room(disk: SmallDisk) -> None:
    mail_port = lasting_port()
    with serving(disk.folder, TOCSIN_MAIL_IN_PORT=str(mail_port)) as service:
        wait_until("the reserve", (disk.folder / "room-for-alerts").exists)
        accepted = []
        disk.fill()
        refusal = None
        for number in range(60):
            status, refusal = post(service, f"{number}", "success")
            if status != 202:
                break
            accepted.append(f"{number}")
            disk.fill(leave=2 * 1024 * 1024 if not (disk.folder / "room-for-alerts").exists() else 0)
        assert (status, refusal) == (503, "disk_full")
        status, check = database_check(service)
        assert (status, check["status"], check["code"]) == (503, "failed", "disk_full")
        assert post(service, "a failure", "failure")[0] == 202, "failures are stored in the room that was kept"
        accepted.append("a failure")
        code, text = mail(service, mail_port, "Backup successful")
        assert (code, text.split()[:2]) == (452, [b"4.3.1", b"disk_full:"])
        assert mail(service, mail_port, "Backup failed")[0] == 250, "failures are stored in the room that was kept"
        wait_until("the mail about the disk", lambda: "the disk of the database is full" in mails(disk), 60)
        metrics = CLIENT.get(f"{service.url}/metrics").text
        assert 'tocsin_write_failures_total{reason="disk_full"}' in metrics
        assert "tocsin_database_writable 0.0" in metrics
        disk.make_room()
        wait_until("it is ready again", lambda: database_check(service)[0] == 200, 60)
        assert post(service, "after", "success")[0] == 202
        events = service.ask("/v1/events", limit="200")["items"]
        assert {*accepted, "after"} <= {event["key"] for event in events}, "an accepted event was lost"

        def is_over() -> bool:
            found = service.ask("/v1/jobs")["items"]
            return any(job["name"] == "disk space" and job["state"] == "ok" for job in found)

        wait_until("the end of the alert", is_over, 60)
        log = (disk.folder / LOG).read_text()
    assert log.count("the database cannot be written") == 1
    assert "Traceback" not in log


def test_a_disk_with_little_room_is_mailed_before_it_is_full(disk: SmallDisk) -> None:
    with serving(disk.folder, TOCSIN_DISK_FREE="8MiB") as service:
        wait_until("the reserve", (disk.folder / "room-for-alerts").exists)
        disk.fill(leave=6 * 1024 * 1024)
        wait_until(
            "the mail about the disk", lambda: "less than the limit of 8 MiB" in mails(disk).replace("=\n", ""), 60
        )
        assert post(service, "meanwhile", "success")[0] == 202
        assert (disk.folder / "room-for-alerts").exists(), "the room for a full disk is still kept"


@pytest.mark.parametrize("how", ["ro", "full"])
def test_a_start_on_a_disk_that_takes_no_write_is_one_sentence(tmp_path: Path, how: str) -> None:
    with small_disk(tmp_path / "var", "8m") as disk:
        with serving(disk.folder):
            pass
        (disk.folder / "room-for-alerts").unlink(missing_ok=True)
        disk.fill() if how == "full" else disk.remount("ro")
        done = tocsin(tmp_path, "serve", var_dir=str(disk.folder), port="0")
    why = "the disk is full; free some space on it" if how == "full" else "it is read-only; make it writable again"
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"tocsin: TOCSIN_VAR_DIR: nothing can be written in {disk.folder}: {why}")


@pytest.mark.needs("root:mkfs.ext4")
def test_a_disk_that_becomes_read_only_while_running_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    with failing_disk(folder, tmp_path / "image") as trigger, serving(folder) as service:
        assert post(service, "before", "failure")[0] == 202
        trigger.write_text("1")
        assert post(service, "during", "failure") == (503, "database_read_only")
        status, check = database_check(service)
        assert (status, check["status"], check["code"]) == (503, "failed", "database_read_only")
        assert "it is read-only" in service.tocsin("doctor").stdout
        assert "before" in {event["key"] for event in service.ask("/v1/events")["items"]}
