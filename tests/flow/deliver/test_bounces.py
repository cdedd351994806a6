"""A mail that a server accepted and then returned: from the event to the next transport, with the real worker, server and listener."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

from app import worker
from app.core.ids import new_id
from app.domain.own_address import PURPOSE, AddressKind, read_address, sign_address
from app.domain.returned_mail import ReturnedMail, Via
from app.http.mail_back import TO_ONE_A_MINUTE
from app.store.returned_mails import MOST_ABOUT_ONE, add_returned_mail, returned_about
from tests.support.api import Api, serving
from tests.support.bounces import notice, send_back
from tests.support.smtp import SmtpServer

ANN = {"transport": "smtp", "address": "ann@example.net"}
FILE = {"transport": "file", "address": "ann@home.example"}
FAILED = {"agent": "web-01", "job": "nightly", "outcome": "failure", "message": "disk full"}
PATIENCE_S = 20


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer() as running:
        yield running


@asynccontextmanager
async def running(
    database_url: str, folder: Path, server: SmtpServer, *transports: dict[str, str], **settings: Any
) -> AsyncIterator[Api]:
    """Run the service with its worker; its administrator is reached by `transports`."""
    wanted = {
        "smtp_url": f"smtp://localhost:{server.port}?tls=none",
        "mail_from": "Tocsin <tocsin@example.org>",
        "bounce_address": "bounces@example.org",
        "canary": False,  # its mails would come between
        "mail_in_port": 0,
        **settings,
    }
    async with serving(database_url, folder, work=worker.run, **wanted) as api:
        (admin,) = await api.items("/v1/recipients")
        await api.tell("PATCH", f"/v1/recipients/{admin['id']}", json={"transports": list(transports)})
        yield api


async def messages(api: Api, **params: Any) -> list[dict[str, Any]]:
    return await api.items("/v1/messages", is_alert="true", **params)


async def wait_for(api: Api, **params: Any) -> dict[str, Any]:
    """Wait for the one message about an alert that meets the filters."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await messages(api, **params)
            if found:
                (one,) = found
                return one
            await asyncio.sleep(0.05)


async def test_an_alert_that_comes_back_goes_by_the_next_transport(
    database_url: str, tmp_path: Path, server: SmtpServer
):
    async with running(database_url, tmp_path, server, ANN, FILE) as api:
        await api.report(FAILED)
        sent = await wait_for(api, state="sent", transport="smtp")
        (mail,) = server.wait_for(1)
        # The envelope sender is one address for this message; the reader sees the usual sender.
        assert read_address(api.context.secret.derive(PURPOSE), mail.sender) == (AddressKind.BOUNCE, sent["id"])
        assert b"From: Tocsin <tocsin@example.org>" in mail.data

        answer = await send_back(api.app.state.mail_in_port, mail.sender, notice("ann@example.net"))
        assert answer.startswith("2.0.0 Stored")
        bounced = await wait_for(api, state="bounced")
        successor = await wait_for(api, state="sent", transport="file")
        assert (bounced["id"], bounced["moved_to"]) == (sent["id"], successor["id"])
        assert bounced["why"] == "came back: 550 5.1.1 no such user; goes by file instead"
        assert successor["moved_from"] == sent["id"]
        assert successor["message_id"] == sent["message_id"]
        detail = await api.tell("GET", f"/v1/messages/{sent['id']}")
        (returned,) = detail["returned"]
        assert (returned["via"], returned["result"], returned["words"]) == ("smtp", "bounced", "550 5.1.1 no such user")
        assert [attempt["outcome"] for attempt in detail["tries"]] == ["sent"]

        # The same notice again, and one that says it in other words: nothing changes.
        for again in (notice("ann@example.net"), notice("ann@example.net", words="554 no")):
            await send_back(api.app.state.mail_in_port, mail.sender, again)
        async with asyncio.timeout(PATIENCE_S):
            while len(detail["returned"]) < 2 or detail["returned"][0]["result"] is None:
                await asyncio.sleep(0.05)
                detail = await api.tell("GET", f"/v1/messages/{sent['id']}")
        assert (detail["state"], len(detail["returned"])) == ("bounced", 2)
        assert len(await messages(api)) == 2
    assert len(list((tmp_path / "mail").rglob("*.eml"))) == 1
    assert len(server.messages) == 1, "nothing was answered"


async def test_delays_and_automatic_replies_are_noted_and_change_nothing(
    database_url: str, tmp_path: Path, server: SmtpServer
):
    reply = b"From: ann@example.net\r\nSubject: Automatic reply: FAILED\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n"
    async with running(database_url, tmp_path, server, ANN, FILE) as api:
        await api.report(FAILED)
        sent = await wait_for(api, state="sent", transport="smtp")
        (mail,) = server.wait_for(1)
        delayed = notice("ann@example.net", action="delayed", status="4.4.1", words="connection timed out")
        await send_back(api.app.state.mail_in_port, mail.sender, delayed)
        await send_back(api.app.state.mail_in_port, mail.sender, reply, sender="ann@example.net")
        detail: dict[str, Any] = {"returned": []}
        async with asyncio.timeout(PATIENCE_S):
            while len([one for one in detail["returned"] if one["result"]]) < 2:
                await asyncio.sleep(0.05)
                detail = await api.tell("GET", f"/v1/messages/{sent['id']}")
        assert detail["state"] == "sent"
        assert {one["result"] for one in detail["returned"]} == {"delayed", "auto_reply"}
    assert len(server.messages) == 1


async def test_a_forged_address_is_refused_and_counted(database_url: str, tmp_path: Path, server: SmtpServer):
    async with running(database_url, tmp_path, server, ANN) as api:
        await api.report(FAILED)
        sent = await wait_for(api, state="sent")
        forged = sign_address(b"another secret", "bounces@example.org", AddressKind.BOUNCE, sent["id"])
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused, match="No such address"):
            await send_back(api.app.state.mail_in_port, forged, notice("ann@example.net"))
        assert (await wait_for(api))["state"] == "sent"
        metrics = (await api.client.get("/metrics")).text
    (line,) = [line for line in metrics.splitlines() if line.startswith("tocsin_forged_bounces_total")]
    assert float(line.split()[1]) >= 1


async def test_who_knows_one_address_cannot_fill_the_database_or_shut_out_others(
    database_url: str, tmp_path: Path, server: SmtpServer
):
    async with running(database_url, tmp_path, server, ANN) as api:
        await api.report(FAILED)
        sent = await wait_for(api, state="sent")
        port, address = api.app.state.mail_in_port, server.messages[0].sender
        for number in range(TO_ONE_A_MINUTE):
            await send_back(port, address, f"Subject: Automatic reply\r\n\r\n{number}\r\n".encode())
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused, match="try again"):
            await send_back(port, address, b"Subject: one more\r\n\r\n")
        context = api.app.state.context
        secret = context.secret.derive(PURPOSE)
        await send_back(
            port, sign_address(secret, "bounces@example.org", AddressKind.BOUNCE, f"msg_{7:028x}"), notice("x@y.z")
        )
        async with context.database.write() as tx:
            for number in range(MOST_ABOUT_ONE):
                raw = f"Subject: later {number}".encode()
                mail = ReturnedMail(new_id("ret"), context.clock(), Via.SMTP, AddressKind.BOUNCE, sent["id"], "", raw)
                await add_returned_mail(tx, mail)
        async with context.database.read() as tx:
            assert len(await returned_about(tx, sent["id"], 100)) == MOST_ABOUT_ONE


async def test_without_a_bounce_address_nothing_changes(database_url: str, tmp_path: Path, server: SmtpServer):
    async with running(database_url, tmp_path, server, ANN, bounce_address=None) as api:
        await api.report(FAILED)
        sent = await wait_for(api, state="sent")
        (mail,) = server.wait_for(1)
        assert mail.sender == "tocsin@example.org"
        own = sign_address(api.context.secret.derive(PURPOSE), "b@example.org", AddressKind.BOUNCE, sent["id"])
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await send_back(api.app.state.mail_in_port, own, notice("ann@example.net"))
