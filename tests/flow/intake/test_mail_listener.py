"""The mail listener, spoken to by a real SMTP client and by swaks: what is answered, and what the administrator then sees."""

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiosmtplib
import pytest
import trustme

from app.admin import purge
from tests.support.api import ENROL_KEY, Api, serving

FINE = b"Subject: Copy succeeded\r\nMessage-ID: <%s@tool>\r\n\r\nAll files were copied.\r\n"
LUNCH = b"List-Id: <admins.example.org>\r\nSubject: Lunch on Friday\r\n\r\nWho joins?\r\n"
MAIL = b"Subject: %s\r\nMessage-ID: <%s@tool>\r\n\r\nDisk full.\r\n"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, mail_in_port=0, mail_in_a_minute=5, mail_in_limit=64 * 1024) as api:
        yield api


async def send(api: Api, subject: bytes, *, key: str = ENROL_KEY, name: bytes = b"1", more: bytes = b"") -> None:
    await send_mail(api, MAIL % (subject, name) + more, key)


async def send_mail(api: Api, mail: bytes, key: str = ENROL_KEY) -> None:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=api.app.state.mail_in_port) as client:
        await client.sendmail("tool@nas01", f"{key}@tocsin", mail)


async def agents_key(api: Api, form: str) -> str:
    customer = (await api.items("/v1/customers"))[0]["id"]
    agent = await api.tell("POST", "/v1/agents", json={"customer_id": customer, "name": "nas01"})
    wanted = {"kind": "agent", "name": "nas01's mail", "agent_id": agent["id"], "job": "photos", "form": form}
    made = await api.tell("POST", "/v1/keys", json=wanted)
    return str(made["key"])


async def test_a_mail_becomes_an_event_of_the_key_s_agent_and_job(api: Api):
    key = await agents_key(api, "uuid")
    await send(api, b"Copy failed", key=f"backup+{key.upper()}")
    (event,) = await api.items("/v1/events")
    assert (event["job"], event["outcome"], event["message"]) == ("photos", "failure", "Copy failed")
    whole = await api.tell("GET", f"/v1/events/{event['id']}")
    assert whole["log"].strip() == "Disk full."


async def test_a_mail_rule_says_what_a_subject_means(api: Api):
    rule = {"name": "gut", "subject": "Sicherung * ist durch", "outcome": "success", "job": "{1}"}
    await api.tell("POST", "/v1/mail-rules", json=rule)
    await send(api, b"Sicherung Fotos ist durch")
    (event,) = await api.items("/v1/events")
    assert (event["job"], event["outcome"]) == ("Fotos", "success")
    too_many = await api.ask("POST", "/v1/mail-rules", json=rule | {"name": "x", "subject": "*" * 51})
    assert (too_many.status_code, too_many.json()["field"]) == (422, "subject")


async def test_a_mail_rule_looks_at_sender_and_body_and_can_name_the_agent(api: Api):
    rule = {"name": "nas", "sender": "tool@*", "body": "*disk full*", "outcome": "warning", "agent": "{1}", "job": "j"}
    rule = await api.tell("POST", "/v1/mail-rules", json=rule | {"activity": "verify"})
    await send(api, b"Hello\r\nFrom: tool@nas07")
    (event,) = await api.items("/v1/events")
    (agent,) = await api.items("/v1/agents")
    assert (event["activity"], event["outcome"], event["job"], agent["name"]) == ("verify", "warning", "j", "nas07")
    nothing = await api.ask("PATCH", f"/v1/mail-rules/{rule['id']}", json={"sender": None, "body": None})
    assert nothing.status_code == 422, "a rule that looks at nothing would hold for every text"


async def test_a_mail_that_names_no_outcome_is_unclear_and_keeps_its_text(api: Api):
    await send_mail(api, b"Subject: Hello\r\n\r\nThis is me.\r\n")
    (event,) = await api.items("/v1/events")
    assert (event["activity"], event["outcome"], event["message"]) == ("backup", "unclear", "Hello")
    whole = await api.tell("GET", f"/v1/events/{event['id']}")
    assert whole["log"].strip() == "This is me."


async def test_a_mail_sent_again_counts_once(api: Api):
    await send(api, b"Copy failed")
    await send(api, b"Copy failed")
    assert len(await api.items("/v1/events")) == 1


async def test_an_address_that_is_no_key_is_refused(api: Api):
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused, match="No such address"):
        await send(api, b"Copy failed", key="nobody")


async def test_of_a_flood_under_one_key_failures_are_stored_and_the_rest_is_put_off(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path, mail_in_port=0, mail_in_a_minute=1) as api:
        await send_mail(api, FINE % b"1")
        with pytest.raises(aiosmtplib.SMTPDataError, match="budget_mails_a_minute") as put_off:
            await send_mail(api, FINE % b"2")
        assert put_off.value.code == 452
        await send(api, b"Copy failed", name=b"3")
        assert sorted(it["outcome"] for it in await api.items("/v1/events")) == ["failure", "success"]


async def test_a_mail_of_routine_beyond_the_budget_of_events_is_put_off(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path, mail_in_port=0, key_events_a_minute=1) as api:
        await send_mail(api, FINE % b"1")
        with pytest.raises(aiosmtplib.SMTPDataError, match="budget_events_a_minute"):
            await send_mail(api, FINE % b"2")
        await send(api, b"Copy failed", name=b"3")
        assert len(await api.items("/v1/events")) == 2


async def test_a_mail_that_is_too_large_is_refused_and_the_next_one_taken(api: Api):
    with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
        await send(api, b"Copy failed", more=b"x" * 100_000)
    assert refused.value.code == 552
    await send(api, b"Copy failed", name=b"2")
    assert len(await api.items("/v1/events")) == 1


async def test_a_mail_whose_log_is_one_long_line_is_taken(api: Api):
    reader, writer = await asyncio.open_connection("127.0.0.1", api.app.state.mail_in_port)
    commands = [b"HELO tool", b"MAIL FROM:<tool@nas01>", b"RCPT TO:<%s@tocsin>" % ENROL_KEY.encode(), b"DATA"]
    mail = b"Subject: Copy failed\r\n\r\n" + b"x" * 50_000 + b" disk full\r\n.\r\nQUIT\r\n"
    for line in commands:
        await reader.readline()
        writer.write(line + b"\r\n")
    writer.write(mail)
    answers = (await asyncio.wait_for(reader.read(), 60)).decode()
    writer.close()
    assert "250 2.0.0 Stored" in answers, answers
    (event,) = await api.items("/v1/events")
    whole = await api.tell("GET", f"/v1/events/{event['id']}")
    assert (event["outcome"], whole["log"].strip()[-9:]) == ("failure", "disk full")


async def test_starttls_is_offered_with_a_certificate(sqlite_database_url: str, tmp_path: Path):
    authority = trustme.CA()
    pem = tmp_path / "tocsin.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(sqlite_database_url, tmp_path, mail_in_port=0, mail_in_cert=pem, mail_in_a_minute=50) as api:
        for number in range(20):  # in a thread of its own the client's next bytes come as soon as they can
            await asyncio.to_thread(send_over_tls, api, trusting, number)
        assert len(await api.items("/v1/events")) == 20


def send_over_tls(api: Api, trusting: ssl.SSLContext, number: int) -> None:
    with smtplib.SMTP("localhost", api.app.state.mail_in_port, timeout=30) as client:
        client.starttls(context=trusting)
        client.sendmail("tool@nas01", f"{ENROL_KEY}@tocsin", MAIL % (b"Copy failed", b"%d" % number))


BOUNCE = (
    b"From: MAILER-DAEMON@mx\r\nSubject: Undelivered Mail Returned to Sender\r\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=a\r\n\r\n"
    b"--a\r\nContent-Type: text/plain\r\n\r\nNo such user.\r\n--a--\r\n"
)


async def test_a_bounce_is_no_event_and_is_listed_for_a_week(api: Api):
    await send_mail(api, BOUNCE)
    assert await api.items("/v1/events") == []
    (listed,) = await api.items("/v1/ignored-mails")
    assert (listed["subject"], "not yet, delivered" in listed["reason"]) == (
        "Undelivered Mail Returned to Sender",
        True,
    )
    whole = await api.tell("GET", f"/v1/ignored-mails/{listed['id']}")
    assert (whole["text"].strip(), whole["sender"]) == ("No such user.", "MAILER-DAEMON@mx")
    await purge.tick(api.context)
    assert len(await api.items("/v1/ignored-mails")) == 1
    now = api.context.clock()
    await purge.tick(replace(api.context, clock=lambda: now + timedelta(days=7, minutes=1)))
    assert await api.items("/v1/ignored-mails") == []


async def test_a_mail_that_a_rule_fits_is_never_put_away(api: Api):
    await api.tell("POST", "/v1/mail-rules", json={"name": "x", "subject": "Undelivered*", "outcome": "failure"})
    await send_mail(api, BOUNCE)
    assert [event["outcome"] for event in await api.items("/v1/events")] == ["failure"]
    assert await api.items("/v1/ignored-mails") == []


async def test_a_failure_that_comes_through_a_mailing_list_is_an_event(api: Api):
    to_list = b"List-Id: <admins.example.org>\r\nPrecedence: list\r\nSubject: %s\r\n\r\n%s\r\n"
    await send_mail(api, to_list % (b"Docs failed", b"Disk full."))
    await send_mail(api, to_list % (b"Lunch on Friday", b"Who joins?"))
    assert [(event["job"], event["outcome"]) for event in await api.items("/v1/events")] == [("Docs", "failure")]
    assert [mail["subject"] for mail in await api.items("/v1/ignored-mails")] == ["Lunch on Friday"]


async def test_two_devices_that_mail_the_same_words_under_one_key_are_two_jobs(api: Api):
    for device in (b"nas01", b"nas02"):
        await send_mail(api, b"From: backup@%s\r\nSubject: Backup failed\r\n\r\n" % device)
    agents = {agent["id"]: agent["name"] for agent in await api.items("/v1/agents")}
    events = await api.items("/v1/events")
    assert {agents[event["agent_id"]] for event in events} == {"backup@nas01", "backup@nas02"}


async def test_a_sender_without_a_from_header_is_the_one_of_the_envelope(api: Api):
    await send(api, b"Backup failed")
    assert [agent["name"] for agent in await api.items("/v1/agents")] == ["tool@nas01"]


async def test_trying_a_rule_shows_what_it_would_have_made_of_the_last_texts(api: Api):
    await send(api, b"Sicherung Fotos ist durch", name=b"1")
    await send(api, b"Docs failed", name=b"2")
    rule = {"subject": "Sicherung * ist durch", "outcome": "success", "job": "{1}"}
    tried = await api.tell("POST", "/v1/mail-rules:try", json=rule)
    assert tried["matching"] == 1
    assert [(text["subject"], text["matches"], text["rule_outcome"], text["rule_job"]) for text in tried["texts"]] == [
        ("Docs failed", False, None, None),
        ("Sicherung Fotos ist durch", True, "success", "Fotos"),
    ]
    assert tried["texts"][0]["outcome"] == "failure"
    assert await api.items("/v1/mail-rules") == []
    nothing = await api.ask("POST", "/v1/mail-rules:try", json={"outcome": "success"})
    assert nothing.status_code == 422


async def test_a_person_joins_two_jobs_by_a_rule_and_it_holds(api: Api):
    rule = {"name": "one", "sender": "*@nas01", "subject": "* of pc7*", "outcome": "failure", "job": "pc7"}
    await api.tell("POST", "/v1/mail-rules", json=rule)
    for number, subject in enumerate((b"Image of pc7 broke", b"Files of pc7 broke")):
        await send(api, subject, name=b"%d" % number)
    assert {(event["job"], event["outcome"]) for event in await api.items("/v1/events")} == {("pc7", "failure")}


async def test_a_rule_without_an_outcome_names_the_job_of_all_mails_of_a_sender(api: Api):
    rule = {"name": "as before", "sender": "tool@nas01", "job": "tool@nas01"}
    await api.tell("POST", "/v1/mail-rules", json=rule)
    await send(api, b"Docs failed", name=b"1")
    await send_mail(api, b"Subject: Backup of Photos completed successfully\r\n\r\n")
    events = {event["message"]: (event["job"], event["outcome"]) for event in await api.items("/v1/events")}
    assert events == {
        "Docs failed": ("tool@nas01", "failure"),
        "Backup of Photos completed successfully": ("tool@nas01", "success"),
    }
    nothing = await api.ask("POST", "/v1/mail-rules", json={"name": "y", "sender": "tool@nas01"})
    assert nothing.status_code == 422, "a rule that sets nothing"


async def test_a_mail_rule_holds_for_the_message_of_another_tool(api: Api):
    rule = {"name": "ntfy", "sender": "ntfy", "subject": "Sicherung * ist durch", "outcome": "success", "job": "{1}"}
    await api.tell("POST", "/v1/mail-rules", json=rule | {"activity": "verify"})
    headers = {"Authorization": f"Bearer {ENROL_KEY}", "Title": "Sicherung Fotos ist durch"}
    sent = await api.client.post("/ntfy/backups", content=b"42 Dateien", headers=headers)
    assert sent.is_success, sent.text
    (event,) = await api.items("/v1/events")
    assert (event["job"], event["outcome"], event["activity"]) == ("Fotos", "success", "verify")
    whole = await api.tell("GET", f"/v1/events/{event['id']}")
    assert whole["extra"]["reading"]["rule"] == "mail rule ntfy"


async def test_the_room_that_is_kept_for_failures_takes_no_mail_that_reports_nothing(api: Api):
    writing = api.app.state.context.database.writing
    writing.is_saving_room = True
    with pytest.raises(aiosmtplib.SMTPDataError, match="disk_full") as put_off:
        await send_mail(api, LUNCH)
    assert (put_off.value.code, put_off.value.message[:5]) == (452, "4.3.1")
    assert await api.items("/v1/ignored-mails") == []
    await send(api, b"Copy failed")
    assert [event["outcome"] for event in await api.items("/v1/events")] == ["failure"]
    writing.is_saving_room = False
    await send_mail(api, LUNCH)
    assert len(await api.items("/v1/ignored-mails")) == 1
