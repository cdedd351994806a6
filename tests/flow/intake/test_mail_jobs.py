"""What the mails of one sender do to the alerts of its jobs: a success closes only the alert of its own job."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiosmtplib
import pytest

from app.decide import tick as decide
from tests.support.api import ENROL_KEY, Api, serving


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, mail_in_port=0) as api:
        yield api


async def mailed(api: Api, *mails: tuple[str, str]) -> dict[str, str]:
    """Send mails of one sender in their order, and return the state of each job's newest alert by the job's name."""
    for subject, body in mails:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=api.app.state.mail_in_port) as client:
            text = (
                f"From: tool@nas01\r\nSubject: {subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n"
            )
            await client.sendmail("tool@nas01", f"{ENROL_KEY}@tocsin", text.encode())
        while await decide.tick(api.context):
            pass
    names = {job["id"]: job["name"] for job in await api.items("/v1/jobs")}
    failed = [alert for alert in await api.items("/v1/alerts") if alert["kind"] == "failed"]
    return {names[alert["job_id"]]: "closed" if alert["closed_at"] else "open" for alert in reversed(failed)}


@pytest.mark.parametrize(
    ("mails", "alerts"),
    [
        ([("Docs failed", ""), ("Photos completed", "")], {"Docs": "open"}),
        ([("Docs failed", ""), ("[EXTERN] WG: Docs completed successfully", "")], {"Docs": "closed"}),
        ([("Backup of pc7 failed", ""), ("no backups of pc7 have succeeded", "")], {"Backup of pc7": "open"}),
        ([("Docs failed", ""), ("Docs completed", "STATUS: Failed")], {"Docs": "open"}),
        ([("Docs failed", ""), ("Docs", "Kind regards")], {"Docs": "open"}),
        ([("Job A failed", ""), ("Job completed successfully", "")], {"Job A": "open"}),
        ([("Backup DE failed", ""), ("Backup completed successfully", "")], {"Backup DE": "open"}),
        ([("Weekly Tue failed", ""), ("Weekly completed successfully", "")], {"Weekly Tue": "open"}),
        (
            [("Cron <a@web01> /bin/x", "error: full"), ("Cron <b@web01> /bin/x", "Backup completed successfully.")],
            {"/bin/x (a@web01)": "open"},
        ),
    ],
)  # fmt: skip
async def test_a_success_closes_only_the_alert_of_its_own_job(
    api: Api, mails: list[tuple[str, str]], alerts: dict[str, str]
):
    found = await mailed(api, *mails)
    assert {job: found.get(job) for job in alerts} == alerts


async def test_a_mail_that_was_unclear_is_known_once_its_meaning_was_taught(api: Api):
    await mailed(api, ("[EXTERN] Docs: 12 crates ferried", "Since 02:10"))
    (event,) = await api.items("/v1/events")
    assert (event["job"], event["outcome"]) == ("Docs crates ferried", "unclear")
    await api.tell("POST", f"/v1/events/{event['id']}:teach", json={"outcome": "success"})
    await mailed(
        api, ("[EXTERN] Docs: 15 crates ferried", "Since 03:11"), ("[EXTERN] Docs: 0 crates ferried", "Since 03:12")
    )
    outcomes = {event["message"]: event["outcome"] for event in await api.items("/v1/events", kind="report")}
    assert outcomes == {
        "[EXTERN] Docs: 12 crates ferried": "unclear",
        "[EXTERN] Docs: 15 crates ferried": "success",
        "[EXTERN] Docs: 0 crates ferried": "unclear",
    }
