"""A recipient answers an alert from its mail: signed links, which change nothing until a button is pressed, and act in their name."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.compose import tick as compose
from app.decide import tick as decide
from app.domain.person import Role
from app.store.messages import bodies_of
from tests.support.api import Api, serving
from tests.support.browser import browsing, link_for, person
from tests.support.movable_clock import MovableClock

ROBIN, KIM = "robin@example.org", "kim@example.org"
FAILURE = {"agent": "files01", "job": "shares", "outcome": "failure", "message": "the repository is locked"}


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def api(database_url: str, tmp_path: Path, clock: MovableClock) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, clock=clock) as api:
        ids = []
        for name in (ROBIN, KIM):
            body = {"name": name, "transports": [{"transport": "file", "address": name}]}
            ids.append((await api.tell("POST", "/v1/recipients", json=body))["id"])
        [route] = await api.items("/v1/routes")
        await api.tell("PATCH", f"/v1/routes/{route['id']}", json={"recipients": ids})
        await api.report(FAILURE)
        await run(api)
        yield api


async def run(api: Api) -> None:
    while await decide.tick(api.context):
        pass
    while await compose.tick(api.context):
        pass


async def mails(api: Api, to: str) -> list[EmailMessage]:
    found = [one for one in await api.items("/v1/messages") if one["address"] == to]
    async with api.context.database.read() as tx:
        sent = [await bodies_of(tx, one["id"]) for one in found]
    return [message_from_bytes(one.mail or b"", policy=policy.default) for one in sent if one is not None]


async def link(api: Api, to: str) -> str:
    """Return the path of the link in the mail, which its text and its HTML both have."""
    [mail] = await mails(api, to)
    paths = set()
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        paths |= set(re.findall(r"http://tocsin\.test(/answer/[\w.]+)", part.get_content()))
    [path] = paths
    return path


async def test_opening_a_link_changes_nothing_and_the_button_takes_the_alert_on(api: Api):
    path = await link(api, KIM)
    async with browsing(api) as browser:
        for _ in range(3):
            page = await browser.get(path)
        assert page.status_code == 200
        assert "Nobody" in page.text
        assert KIM in page.text, "forwarded, it says in whose name it acts"
        assert page.headers["x-frame-options"] == "DENY"
        [alert] = await api.items("/v1/alerts")
        assert alert["acknowledged_at"] is None
        done = await browser.client.post(path, data={"answer": "take-on", "comment": "stale <b>lock</b>"})
        assert "You acknowledged it" in done.text
        assert "<b>lock" not in done.text
        [alert] = await api.items("/v1/alerts")
        assert alert["acknowledged_by"] == f"{KIM} (stale <b>lock</b>)"
        again = await browser.client.post(path, data={"answer": "take-on"})
        assert "answered before" in again.text
        other = await browser.client.post(await link(api, ROBIN), data={"answer": "take-on"})
        assert f"{KIM} (stale" in other.text
        [alert] = await api.items("/v1/alerts")
        assert alert["acknowledged_by"].startswith(KIM)


async def test_the_others_learn_once_who_has_it_in_the_same_conversation(api: Api, clock: MovableClock):
    [first] = await mails(api, ROBIN)
    async with browsing(api) as browser:
        for _ in range(2):
            await browser.client.post(await link(api, KIM), data={"answer": "take-on"})
    await run(api)
    assert len(await mails(api, ROBIN)) == 1, "it can still be undone"
    clock.ahead += timedelta(seconds=31)
    await run(api)
    await run(api)
    assert len(await mails(api, KIM)) == 1
    newest, _ = await mails(api, ROBIN)
    assert newest["subject"] == first["subject"].replace("[FAILED]", "[ACKNOWLEDGED]")
    assert newest["in-reply-to"] == first["message-id"]
    body = newest.get_body(("plain",))
    assert body is not None
    assert f"by {KIM}" in body.get_content()
    assert "/answer/" not in body.get_content()


async def test_the_others_learn_it_also_of_who_acknowledges_on_a_page_unless_that_is_undone(
    api: Api, clock: MovableClock
):
    [alert] = await api.items("/v1/alerts")
    robin = await person(api, ROBIN, Role.OPERATOR)
    async with browsing(api) as browser:
        path = await link_for(api, robin)
        await browser.send(path, path)
        sent = await browser.send("/alerts", "/act/acknowledge", id=alert["id"], back="/alerts")
        page = await browser.get(sent.headers["location"])
        undo = re.search(r'name="undo" value="([^"]+)"', page.text)
        assert undo is not None
        clock.ahead += timedelta(seconds=25)  # the page promises ten, and a slow connection is given more
        await run(api)
        assert len(await mails(api, KIM)) == 1, "it can still be undone"
        await browser.send("/alerts", "/act/undo", undo=undo[1], back="/alerts")
        clock.ahead += timedelta(seconds=31)
        await run(api)
        assert len(await mails(api, KIM)) == 1, "it was undone"
        await browser.send("/alerts", "/act/acknowledge", id=alert["id"], back="/alerts")
        clock.ahead += timedelta(seconds=31)
        await run(api)
        await browser.send("/alerts", "/act/take-over", id=alert["id"], back="/alerts")
        clock.ahead += timedelta(seconds=31)
        await run(api)
    newest, first = await mails(api, KIM)
    assert newest["subject"] == first["subject"].replace("[FAILED]", "[ACKNOWLEDGED]")
    assert newest["in-reply-to"] == first["message-id"]
    assert len(await mails(api, ROBIN)) == 1


@pytest.mark.parametrize("answer", ["take-on", "4h"])
async def test_an_answer_is_undone_on_its_page_for_half_a_minute(api: Api, clock: MovableClock, answer: str):
    path = await link(api, KIM)
    async with browsing(api) as browser:
        done = await browser.client.post(path, data={"answer": answer})
        assert 'value="undo"' in done.text
        undone = await browser.client.post(path, data={"answer": "undo"})
        assert "Undone." in undone.text
        [alert] = await api.items("/v1/alerts")
        assert alert["acknowledged_at"] is None
        assert await api.items("/v1/silences", state="current") == []
        clock.ahead += timedelta(seconds=31)
        await run(api)
        assert len(await mails(api, ROBIN)) == 1, "nobody hears of what was undone"
        await browser.client.post(path, data={"answer": answer})
        clock.ahead += timedelta(seconds=31)
        late = await browser.client.post(path, data={"answer": "undo"})
        assert "Undone." not in late.text
        [alert] = await api.items("/v1/alerts")
        assert (alert["acknowledged_at"] is not None) == (answer == "take-on")


async def test_who_reads_that_another_has_it_can_take_it_over(api: Api):
    kim, robin = await link(api, KIM), await link(api, ROBIN)
    async with browsing(api) as browser:
        await browser.client.post(kim, data={"answer": "take-on"})
        assert 'value="take-over"' in (await browser.get(robin)).text
        assert 'value="take-over"' not in (await browser.get(kim)).text
        assert "You acknowledged it" in (await browser.client.post(robin, data={"answer": "take-over"})).text
        [alert] = await api.items("/v1/alerts")
        assert alert["acknowledged_by"] == ROBIN
        assert "Undone." not in (await browser.client.post(kim, data={"answer": "undo"})).text


async def test_an_acknowledgement_by_the_api_is_sent_once_to_all_who_were_notified(api: Api):
    [alert] = await api.items("/v1/alerts")
    for _ in range(2):
        await api.tell("POST", f"/v1/alerts/{alert['id']}:acknowledge", json={"name": "Jo"})
        await run(api)
    for to in (ROBIN, KIM):
        newest, _ = await mails(api, to)
        assert "[ACKNOWLEDGED]" in newest["subject"]
        body = newest.get_body(("plain",))
        assert body is not None
        assert "by Jo" in body.get_content()


async def test_six_alerts_of_one_mail_are_acknowledged_in_one_mail(api: Api, clock: MovableClock):
    for number in range(6):
        await api.report({**FAILURE, "key": f"more-{number}", "job": f"job{number}"})
    await run(api)
    clock.ahead += timedelta(minutes=6)  # the interval of the group
    await run(api)
    assert len(await mails(api, KIM)) == 2
    for alert in await api.items("/v1/alerts"):
        if alert["acknowledged_at"] is None:
            await api.tell("POST", f"/v1/alerts/{alert['id']}:acknowledge", json={"name": "Jo"})
    await run(api)
    subjects = [mail["subject"] for mail in await mails(api, KIM)]
    assert len(subjects) == 4, subjects
    assert any("6 ACKNOWLEDGED" in subject for subject in subjects), subjects


@pytest.mark.parametrize(("answer", "hours"), [("4h", 4), ("morning", None)])
async def test_a_silence_is_of_this_job_and_ends_by_itself(
    api: Api, clock: MovableClock, answer: str, hours: int | None
):
    path = await link(api, KIM)
    async with browsing(api) as browser:
        assert "Silenced until" in (await browser.client.post(path, data={"answer": answer})).text
        assert "answered before" in (await browser.client.post(path, data={"answer": "4h"})).text
    [silence] = await api.items("/v1/silences")
    assert silence["created_by"] == KIM
    assert {matcher["field"]: matcher["value"] for matcher in silence["matchers"]} == {
        "agent": "files01",
        "job": "shares",
    }
    ends_at = datetime.fromisoformat(silence["ends_at"])
    if hours is not None:
        assert abs(ends_at - clock() - timedelta(hours=hours)) < timedelta(minutes=5)
    else:
        assert (ends_at.hour, ends_at.minute) == (8, 0)
        assert timedelta(hours=8) <= ends_at - clock() <= timedelta(hours=32)


async def test_in_the_night_the_page_offers_the_coming_morning_and_the_one_after_it(api: Api, clock: MovableClock):
    path = await link(api, KIM)
    [customer] = {alert["customer_id"] for alert in await api.items("/v1/alerts")}
    zone = ZoneInfo((await api.tell("GET", f"/v1/customers/{customer}"))["time_zone"])
    night = (clock().astimezone(zone) + timedelta(days=1)).replace(hour=2, minute=0)
    clock.ahead += night - clock()
    async with browsing(api) as browser:
        offered = re.findall(r'name="answer" value="(4h|today|morning)"', (await browser.get(path)).text)
        assert offered == ["4h", "today", "morning"]
        assert "Silenced until" in (await browser.client.post(path, data={"answer": "today"})).text
    [silence] = await api.items("/v1/silences")
    ends_at = datetime.fromisoformat(silence["ends_at"]).astimezone(zone)
    assert (ends_at.date(), ends_at.hour) == (night.date(), 8)


async def test_a_link_that_was_changed_or_is_old_does_nothing(api: Api, clock: MovableClock):
    path = await link(api, KIM)
    alert, recipient, until, signature = path.removeprefix("/answer/").split(".")
    wrong = [
        f"{alert}.{recipient}.{until}.{'0' * 32}",
        f"{alert}.{recipient}.{int(until, 16) + 1:x}.{signature}",
        f"{alert}.rcp_00.{until}.{signature}",
        f"alr_00.{recipient}.{until}.{signature}",
        "x",
    ]
    async with browsing(api) as browser:
        for token in wrong:
            page = await browser.client.post(f"/answer/{token}", data={"answer": "take-on"})
            assert page.status_code == 404
            assert "shares" not in page.text
        clock.ahead = timedelta(days=8)
        ended = await browser.client.post(path, data={"answer": "take-on"})
        assert ended.status_code == 410
        assert "This link no longer works" in ended.text
    [found] = await api.items("/v1/alerts")
    assert found["acknowledged_at"] is None


async def test_a_link_ends_with_the_address_that_it_was_made_for(api: Api):
    path = await link(api, KIM)
    [kim] = [one for one in await api.items("/v1/recipients") if one["name"] == KIM]
    changed = {"transports": [{"transport": "file", "address": "other@example.org"}]}
    await api.tell("PATCH", f"/v1/recipients/{kim['id']}", json=changed)
    async with browsing(api) as browser:
        assert (await browser.client.post(path, data={"answer": "take-on"})).status_code == 404


@pytest.mark.parametrize("kind", ["viewer", "admin"])
async def test_nobody_gets_the_link_out_of_the_mail_that_is_shown_to_them(api: Api, kind: str):
    """Who has the link acts in the name of the recipient: an owner, too, must not be able to do that."""
    token = (await link(api, KIM)).rpartition("/")[2]
    [message] = [one for one in await api.items("/v1/messages") if one["address"] == KIM]
    viewer = (await api.tell("POST", "/v1/keys", json={"kind": kind, "name": "wall"}))["key"]
    raw = await api.ask("GET", f"/v1/messages/{message['id']}/raw", key=viewer)
    parts = message_from_bytes(raw.content, policy=policy.default).walk()
    texts = [part.get_content() for part in parts if part.get_content_maintype() == "text"]
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "lee@example.org", Role.OWNER if kind == "admin" else Role.READER))
        await browser.send(path, path)
        shown = await browser.get(f"/mail/{message['id']}/shown")
    assert shown.status_code == raw.status_code == 200
    assert "the repository is locked" in shown.text
    for text in (shown.text, *texts):
        assert token not in text


async def test_a_silence_of_another_customer_with_the_same_names_does_not_count_as_one_of_this_alert(api: Api):
    other = (await api.tell("POST", "/v1/customers", json={"name": "Other", "time_zone": "UTC"}))["id"]
    same = [{"field": f, "test": "is", "value": v} for f, v in (("agent", "files01"), ("job", "shares"))]
    ends_at = (api.context.clock() + timedelta(hours=2)).isoformat()
    theirs = {"customer_id": other, "matchers": same, "ends_at": ends_at, "comment": "secret work"}
    assert (await api.ask("POST", "/v1/silences", json=theirs)).status_code == 201
    path = await link(api, KIM)
    async with browsing(api) as browser:
        assert "Silenced until" not in (await browser.get(path)).text
        assert "Silenced until" in (await browser.client.post(path, data={"answer": "4h"})).text
    assert len(await api.items("/v1/silences")) == 2


async def test_who_has_an_address_that_begins_like_another_does_not_have_their_alert(api: Api):
    [alert] = await api.items("/v1/alerts")
    await api.tell("POST", f"/v1/alerts/{alert['id']}:acknowledge", json={"name": f"{KIM}.au"})
    async with browsing(api) as browser:
        page = (await browser.client.post(await link(api, KIM), data={"answer": "take-on"})).text
    assert "You acknowledged it" not in page
    assert f"Acknowledged by {KIM}.au" in page
