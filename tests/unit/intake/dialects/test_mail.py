"""What the mails of tools mean: one table that an administrator can read, and arbitrary bytes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.event import RunOutcome
from app.domain.mail_rule import MailRule
from app.intake.dialects import mail
from app.intake.dialects.tool_request import ToolRequest
from app.intake.known_names import KnownNames
from app.intake.parse import WireEvent

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CORPUS = Path(__file__).parents[3] / "corpus" / "mail"


def read(body: bytes, *rules: MailRule, job: str | None = None) -> WireEvent:
    (event,) = mail.read(ToolRequest(body=body, job=job), rules)
    return event


def with_subject(subject: str) -> bytes:
    return f"Subject: {subject}\r\nFrom: Tool <tool@nas01>\r\n\r\nSomething.\r\n".encode()


@pytest.mark.parametrize(
    ("file", "agent", "job", "outcome", "message"),
    [
        ("composed-duplicati-error", None, "Büro 💾", "failure", "Duplicati reports Error"),
        ("composed-veeam-failed", None, "VM-Nightly", "failure", "Error: Failed to connect to repository"),
        ("recorded-bacula-15.0.3-ok", "nas01-fd", "Daily-OK", "success", "Backup OK"),
        ("recorded-bacula-15.0.3-warnings", "nas01-fd", "Daily-Warn", "warning", "Backup OK -- with warnings"),
    ],
)  # fmt: skip
def test_a_recorded_mail_is_understood(file: str, agent: str | None, job: str, outcome: str, message: str):
    event = read((CORPUS / f"{file}.eml").read_bytes())
    assert (event.get("agent"), event.get("job"), event.get("outcome"), event.get("message")) == (
        agent,
        job,
        outcome,
        message,
    )


def test_bacula_mails_contain_amounts():
    event = read((CORPUS / "recorded-bacula-15.0.3-ok.eml").read_bytes())
    assert (event.get("metrics") or {})["files_processed"] > 0
    assert event.get("run") == "1"
    assert event.get("occurred_at") == "2026-11-23T01:29:43+00:00"


@pytest.mark.parametrize(
    ("subject", "tool", "job", "outcome"),
    [
        ("[Success] VM-Nightly (12 objects)", "veeam", "VM-Nightly", "success"),
        ("Re: [Warning] Files", "veeam", "Files", "warning"),
        ("Bareos: Backup Error of fd1 Incremental", "bareos", "fd1", "failure"),
        ("Bacula: Backup Canceled of fd1 Full", "bacula", "fd1", "cancelled"),
        ("vzdump backup status (pve1): backup successful", "proxmox", "vzdump on pve1", "success"),
        ("Verify Datastore 'tank' failed", "proxmox", "Verify Datastore 'tank'", "failure"),
        ("Garbage Collect Datastore 'tank' successful", "proxmox", "Garbage Collect Datastore 'tank'", "success"),
        ("[NAS] Backup task [Photos] has failed", "synology", "Photos", "failure"),
        ("Nightly copy finished with 0 errors", "mail", "Nightly copy", "success"),
        ("Nightly copy finished with 3 errors", "mail", "Nightly copy", "failure"),
        ("Nightly copy completed without warnings", "mail", "Nightly copy", "success"),
        ("Sicherung unsuccessful", "mail", "tool@nas01", "failure"),  # a word that names no job
        ("Nightly copy incomplete", "mail", "Nightly copy", "failure"),
    ],
)
def test_a_subject_names_tool_job_and_outcome(subject: str, tool: str, job: str, outcome: str):
    event = read(with_subject(subject))
    assert ((event.get("labels") or {})["tool"], event.get("job"), event.get("outcome")) == (tool, job, outcome)


def test_a_mail_rule_comes_before_the_known_subjects():
    rule = MailRule("mrl_1", "[success] *", RunOutcome.WARNING, job="{1}")
    event = read(with_subject("[Success] Odd one"), rule)
    assert (event.get("job"), event.get("outcome"), (event.get("extra") or {})["mail_rule"]) == (
        "Odd one",
        "warning",
        "mrl_1",
    )


def test_the_same_mail_has_the_same_key_unless_it_came_for_another_job():
    body = (CORPUS / "composed-veeam-failed.eml").read_bytes()
    assert read(body).get("key") == read(body).get("key") != read(body, job="other").get("key")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("plain", "Path: /srv\n\n  Status:      incomplete\n  Start:       Mon, 23 Nov 2026 02:00:00 +0100\n"),
        (
            "html",
            '<table><tr class="snapshotstatus-incomplete">\n<td><span class="path">/srv</span></td>\n<td>x</td></tr></table>',
        ),
    ],
)
def test_kopias_mail_is_read_by_its_status_not_by_its_subject(kind: str, body: str):
    subject = "Successfully created a snapshot of /srv on nas01"
    event = read(f"Subject: {subject}\r\nContent-Type: text/{kind}; charset=utf-8\r\n\r\n{body}".encode())
    assert (event.get("agent"), event.get("job"), event.get("outcome")) == ("nas01", "/srv", "warning")


def test_kopias_subject_alone_is_not_a_success():
    event = read(with_subject("Successfully created 3 snapshots on nas01"))
    assert (event.get("outcome"), event.get("phase")) == ("unclear", "finished")
    assert "no status" in str((event.get("extra") or {})["reading"])


@pytest.mark.parametrize(
    ("text", "outcome", "message"),
    [
        (
            '{"Data": {"ParsedResult": "Warning", "PartialBackup": true}, "Extra": {"backup-name": "docs"}}',
            "warning",
            None,
        ),
        ("Failed: disk full\r\nDetails: IOException", "failure", "disk full"),
        ("PartialBackup: True\r\nParsedResult: Success", "warning", None),
    ],
)
def test_duplicatis_mail_is_read_like_its_reports(text: str, outcome: str, message: str | None):
    event = read(f"Subject: Duplicati Backup report for docs\r\nMessage-ID: <1@x>\r\n\r\n{text}".encode())
    assert (event.get("job"), event.get("outcome")) == ("docs", outcome)
    assert message in (None, event.get("message"))


def test_a_mail_that_names_no_outcome_is_unclear_with_its_text():
    event = read(with_subject("Hello from Docs"))
    assert (event.get("outcome"), event.get("job"), event.get("log")) == (
        "unclear",
        "Hello from Docs",
        "Something.\r\n",
    )


def test_words_in_a_known_name_are_no_outcome_and_a_job_keeps_its_name_when_it_becomes_known():
    body = with_subject("Failed orders completed successfully")
    (event,) = mail.read(ToolRequest(body=body, known_names=KnownNames(["Failed orders"])))
    assert event.get("outcome") == "success"
    assert read(body).get("outcome") == "failure", "without the name"
    assert read(body).get("job") == event.get("job")


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("nightly backup failed", "Job 7: nightly backup failed"),
        ("did not", "The backup of db did not complete successfully"),
        ("errors", "db: errors: 5"),
        ("nicht", "Sicherung von db nicht erfolgreich"),
    ],
)
def test_a_job_that_somebody_named_like_trouble_takes_no_trouble_out_of_other_texts(name: str, subject: str):
    body = f"Subject: {subject}\r\n\r\nAll files were copied successfully.\r\n".encode()
    (event,) = mail.read(ToolRequest(body=body, known_names=KnownNames([name])))
    assert event.get("outcome") == "failure"


def test_the_visible_text_of_html_is_read():
    body = (
        b"Subject: backup failed\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n"
        b"<style>p{}</style><p>Gr\xfc\xdfe</p><table><tr><td>db</td><td>err</td></tr></table>"
    )
    assert read(body).get("log") == "Grüße\ndb err"


@pytest.mark.parametrize(
    ("subject", "job"),
    [
        ("=?iso-8859-1?Q?[Failed]_B=FCro?=", "Büro"),  # its last letters but two
        ("=?iso-8859-15?Q?[Failed]_caf=E9?=", "café"),  # as if it were cut UTF-8
    ],
)
def test_a_subject_is_decoded_with_its_declared_character_set(subject: str, job: str):
    assert read(f"Subject: {subject}\r\n\r\n".encode()).get("job") == job


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_subject_that_is_not_encoded_is_decoded_all_the_same(encoding: str):
    """Two jobs whose letters beyond ASCII were lost would be one: the success of one would hide the other's failure."""
    head = "Subject: [Failed] Bücher, Töpfe und alles andere, was in dem großen Haus noch liegt\r\n\r\n"
    assert read(head.encode(encoding)).get("job") == head[18:-4]


def test_a_blank_plain_part_does_not_hide_the_html():
    body = (
        b"Subject: [Failed] Files\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
        b"--a\r\nContent-Type: text/plain\r\n\r\n \r\n"
        b"--a\r\nContent-Type: text/html\r\n\r\n<p>Error: disk full</p>\r\n--a--\r\n"
    )
    assert (read(body).get("message"), read(body).get("log")) == ("Error: disk full", "Error: disk full")


def test_a_mail_that_the_library_cannot_parse_is_read_as_plain_text():
    parts = "".join(f"Content-Type: multipart/mixed; boundary=b{part}\r\n\r\n--b{part}\r\n" for part in range(5000))
    event = read(f"Subject: Docs failed\r\nFrom: Tool <tool@nas01>\r\n{parts}".encode())
    assert (event.get("job"), event.get("outcome"), event.get("labels", {})["sender"]) == (
        "Docs",
        "failure",
        "tool@nas01",
    )


@pytest.mark.parametrize("name", ["<>", "<backup@nas01>"])
def test_mails_of_a_device_that_repeats_its_message_id_stay_separate(name: str):
    first, second = (
        f"Subject: [{request}] Files\r\nDate: Mon, {day} Nov 2026 02:00:00 +0000\r\nMessage-ID: {name}\r\n\r\n".encode()
        for request, day in (("Success", 23), ("Failed", 24))
    )
    assert read(first).get("key") == read(first).get("key") != read(second).get("key")


@given(st.binary(max_size=3000))
def test_any_bytes_are_read_as_a_mail(body: bytes):
    _read_and_look(body)


@given(st.sampled_from(sorted(CORPUS.glob("*.eml"))), st.data())
def test_a_damaged_mail_is_read_all_the_same(path: Path, data: st.DataObject):
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    _read_and_look(whole[:at] + data.draw(st.binary(max_size=50)) + whole[at + data.draw(st.integers(0, 50)) :])


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
        + b"--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n" * 5000,
        b"Subject: =?utf-8?b?!!!?=\r\n\r\n",
        b"Subject: =?nonsense?q?failed?=\r\nDate: Mon, 99 Foo 99999 99:99:99 +9999\r\n\r\n",
        b"Content-Type: text/plain; charset=nonsense\r\nContent-Transfer-Encoding: base64\r\nSubject: failed\r\n\r\n!!!!",
        b"Subject: " + b"failed " * 100_000,
    ],
)
def test_a_hostile_mail_is_read_all_the_same(body: bytes):
    _read_and_look(body)


def _read_and_look(body: bytes) -> None:
    mail.find_no_report(ToolRequest(body=body), ())
    assert mail.read(ToolRequest(body=body))


def test_trouble_in_the_html_next_to_a_good_plain_text_wins():
    parts = (("plain", "completed successfully"), ("html", "<p>Status: <b>FAILED</b></p>"))
    body = b"Subject: Nightly\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n" + b"".join(
        f"--b\r\nContent-Type: text/{kind}\r\n\r\n{text}\r\n".encode() for kind, text in parts
    )
    assert read(body + b"--b--\r\n")["outcome"] == "failure"
    good = body.replace(b"FAILED", b"Success")
    assert read(good + b"--b--\r\n")["outcome"] == "success"
