"""A setting that a mail server refuses is named where people look, and what died of one cause is sent again by one call."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.ids import new_id
from app.domain.attempt import Attempt
from app.domain.message import MessageState
from app.domain.recipient import Address
from app.store import outbox
from app.store.messages import DeadCause, causes_of_dead
from tests.support.api import Api, serving
from tests.support.outbox import post

ANN = Address("smtp", "ann@example.org")


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def die(api: Api, *codes: str, to: Address = ANN) -> list[str]:
    """Let one message die for each code, that of its last attempt; an attempt before it ended `connect`."""
    ids = await post(api.context, to, count=len(codes))
    now = api.context.clock()
    async with api.context.database.write() as tx:
        for message_id, code in zip(ids, codes, strict=True):
            held = (await outbox.lock(tx, [message_id]))[message_id]
            first, last = sorted([new_id("att"), new_id("att")])  # ids sort by time
            tried = [
                Attempt(first, message_id, 1, "worker", new_id("tok"), now, now, "temporary", "connect", "refused"),
                Attempt(last, message_id, 2, "worker", new_id("tok"), now, now, "permanent", code, f"550 {code}"),
            ]
            await outbox.insert_attempts(tx, tried)
            dead = replace(held.message, state=MessageState.DEAD, attempts=2, why=f"{code} no", settled_at=now)
            await outbox.save(tx, [dead])
    return ids


async def states(api: Api, ids: list[str]) -> list[str]:
    return [(await api.tell("GET", f"/v1/messages/{one}"))["state"] for one in ids]


async def test_one_call_sends_what_died_of_one_cause_and_is_audited(api: Api) -> None:
    ids = await die(api, "sender", "550", "sender")
    asked = {"transport": "smtp", "cause": "sender"}
    done = await api.tell("POST", "/v1/messages:retry", json=asked)
    assert done == {"retried": 2, "refused": 0, "next": None}
    assert await states(api, ids) == ["queued", "dead", "queued"]
    entries = await api.items("/v1/audit", noun="message")
    assert [entry["action"] for entry in entries] == ["retry", "retry"]
    again = await api.tell("POST", "/v1/messages:retry", json=asked)
    assert again == {"retried": 0, "refused": 0, "next": None}


async def test_filters_hold_and_without_one_all_are_meant(api: Api) -> None:
    [mine] = await die(api, "relay")
    [other] = await die(api, "relay", to=Address("webhook", "https://hooks.example.org/"))
    recipient = (await api.tell("GET", f"/v1/messages/{mine}"))["recipient_id"]
    assert (await api.tell("POST", "/v1/messages:retry", json={"cause": "connect"}))["retried"] == 0
    assert (await api.tell("POST", "/v1/messages:retry", json={"transport": "mapi"}))["retried"] == 0
    assert (await api.tell("POST", "/v1/messages:retry", json={"recipient_id": recipient}))["retried"] == 1
    assert await states(api, [mine, other]) == ["queued", "dead"]
    assert (await api.tell("POST", "/v1/messages:retry"))["retried"] == 1
    assert (await api.ask("POST", "/v1/messages:retry", json={"couse": "x"})).status_code == 422


async def test_messages_that_nobody_can_send_do_not_hold_up_the_others(api: Api) -> None:
    old = await die(api, *["sender"] * 3)
    gone = await die(api, *["sender"] * 201)
    recipient = (await api.tell("GET", f"/v1/messages/{gone[0]}"))["recipient_id"]
    await api.tell("DELETE", f"/v1/recipients/{recipient}")
    first = await api.tell("POST", "/v1/messages:retry")
    assert (first["retried"], first["refused"]) == (0, 200)
    second = await api.tell("POST", "/v1/messages:retry", json={"before": first["next"]})
    assert second == {"retried": 3, "refused": 1, "next": None}
    assert await states(api, old) == ["queued"] * 3


async def test_the_setting_to_mend_is_named_by_the_api_and_readyz(api: Api) -> None:
    [one] = await die(api, "ehlo_name")
    items = (await api.tell("GET", "/v1/transports"))["items"]
    trouble = next(item["trouble"] for item in items if item["transport"] == "smtp")
    assert (trouble["outcome"], trouble["code"], trouble["text"]) == ("permanent", "ehlo_name", "550 ehlo_name")
    assert "TOCSIN_SMTP_EHLO_NAME" in trouble["mend"]
    tries = (await api.tell("GET", f"/v1/messages/{one}"))["tries"]
    assert "TOCSIN_SMTP_URL" in tries[0]["mend"]
    assert "TOCSIN_SMTP_EHLO_NAME" in tries[1]["mend"]
    checks = (await api.ask("GET", "/readyz")).json()["checks"]
    assert any("TOCSIN_SMTP_EHLO_NAME" in check["detail"] for check in checks if check["name"] == "transport smtp")


async def test_causes_are_those_of_the_last_attempts_of_all_dead_messages(api: Api) -> None:
    await die(api, "sender", "550", "sender", "relay")
    await die(api, "sender", to=Address("webhook", "https://hooks.example.org/"))
    await api.tell("POST", "/v1/messages:retry", json={"cause": "relay"})
    async with api.context.database.read() as tx:
        found = await causes_of_dead(tx, 10)
        assert await causes_of_dead(tx, 1) == found[:1]
    assert found == [DeadCause("smtp", "sender", 2), DeadCause("smtp", "550", 1), DeadCause("webhook", "sender", 1)]
    for cause in found:
        asked = {"transport": cause.transport, "cause": cause.code}
        assert (await api.tell("POST", "/v1/messages:retry", json=asked))["retried"] == cause.messages
