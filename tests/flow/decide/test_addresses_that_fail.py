"""An address to which mail comes back again and again: who hears of it, and what doctor, /readyz and the API show."""

from pathlib import Path

from app.core.ids import new_id
from app.decide import bounced_addresses
from app.decide import tick as decide
from app.deliver.bounces import report_arrived
from app.domain.message import MessageState
from app.domain.own_address import AddressKind
from app.domain.recipient import Address
from app.domain.returned_mail import DeliveryReport, ReturnedMail, ReturnKind, Via
from app.store import outbox
from app.store.routing import RECIPIENTS
from app.store.transactions import WriteTx
from tests.support.api import Api, serving
from tests.support.outbox import BODIES, _message

NO_SUCH = DeliveryReport(ReturnKind.BOUNCED, "550 5.1.1 no such user", "ann@example.net", "5.1.1", is_permanent=True)
ANN = {"transport": "smtp", "address": "Ann@example.net"}


async def come_back(api: Api, recipient_id: str, times: int, report: DeliveryReport = NO_SUCH) -> None:
    """Let mails to the recipient's first address come back, or be reported otherwise."""
    context = api.context
    for number in range(times):
        async with context.database.write() as tx:
            one = await _sent_to(tx, api, recipient_id, number)
        async with context.database.write() as tx:
            mail = ReturnedMail(new_id("ret"), context.clock(), Via.SMTP, AddressKind.BOUNCE, one, "", b"")
            await report_arrived(context, tx, mail, report, context.clock())
    await bounced_addresses.tick(context)
    while await decide.tick(context):
        pass
    await decide.tick(context)


async def _sent_to(tx: WriteTx, api: Api, recipient_id: str, number: int) -> str:
    recipient = await RECIPIENTS.get(tx, recipient_id)
    to = Address("smtp", recipient.transports[0].address)
    message = _message(api.context, recipient_id, to, number, api.context.clock(), {"state": MessageState.SENT})
    await outbox.insert_messages(tx, [(message, BODIES)])
    return message.id


async def test_the_others_hear_of_a_recipient_who_cannot_be_reached(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path, bounce_address="bounces@example.org") as api:
        (ann,) = await api.items("/v1/recipients")
        await api.tell("PATCH", f"/v1/recipients/{ann['id']}", json={"transports": [ANN]})
        file = {"transport": "file", "address": "bob@example.org"}
        bob = await api.tell("POST", "/v1/recipients", json={"name": "bob", "transports": [file]})
        # By its matchers, no alert of Tocsin itself would go by Bob's route.
        route = {"name": "databases", "recipients": [bob["id"]], "matchers": [{"field": "job", "value": "sql"}]}
        await api.tell("POST", "/v1/routes", json=route)
        await come_back(api, ann["id"], 1)
        assert await api.items("/v1/alerts") == [], "one bounce may be a mistake of a server"
        await come_back(api, ann["id"], 1)
        (alert,) = await api.items("/v1/alerts")
        notices = await api.items("/v1/notices", alert_id=alert["id"])
        assert {notice["recipient_id"] for notice in notices} == {ann["id"], bob["id"]}
        (job,) = await api.items("/v1/jobs")
        assert job["name"] == "mail to ann@example.net"
        (event,) = await api.items("/v1/events")
        assert event["message"].startswith(
            "Mail to ann@example.net (recipient admin) came back 2 times in a row: 5.1.1 550"
        )

        shown = await api.tell("GET", f"/v1/recipients/{ann['id']}")
        (address,) = shown["bounced"]
        assert (address["address"], address["in_a_row"], address["fails"]) == ("ann@example.net", 2, True)
        ready = (await api.client.get("/readyz")).json()
        (check,) = [check for check in ready["checks"] if check["name"] == "returned mail"]
        assert check["status"] == "warning"
        assert "2 message(s) came back within a day and nobody was notified" in check["detail"]
        assert "example.net" not in str(ready), "/readyz needs no key"

        # Ann gets another address: the old one is forgotten, and the alert closes.
        await api.tell(
            "PATCH", f"/v1/recipients/{ann['id']}", json={"transports": [ANN | {"address": "ann@new.example"}]}
        )
        await come_back(api, ann["id"], 0)
        assert [alert["closed_at"] is None for alert in await api.items("/v1/alerts")] == [False]
        assert (await api.tell("GET", f"/v1/recipients/{ann['id']}"))["bounced"] == []


async def test_a_mail_that_arrived_ends_what_was_reported(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path, bounce_address="bounces@example.org") as api:
        (ann,) = await api.items("/v1/recipients")
        await api.tell("PATCH", f"/v1/recipients/{ann['id']}", json={"transports": [ANN]})
        await come_back(api, ann["id"], 2)
        assert [alert["closed_at"] for alert in await api.items("/v1/alerts")] == [None]
        await come_back(api, ann["id"], 1, DeliveryReport(ReturnKind.DELIVERED, "delivered 2.0.0"))
        assert [alert["closed_at"] is None for alert in await api.items("/v1/alerts")] == [False]
        assert (await api.tell("GET", f"/v1/recipients/{ann['id']}"))["bounced"] == []
