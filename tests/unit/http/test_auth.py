"""Keys: who is let in, for how long after a revocation, and what is kept of them."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Never

import pytest
from sqlalchemy import event, select

from app.core.errors import NotAllowed
from app.core.ids import new_id
from app.core.secret import hint_of, new_key
from app.domain.key import Key, KeyKind
from app.http import auth
from app.http.auth import KeyAuthenticator
from app.store.keys import find_by_hash, get_key, insert_key, revoke_key
from app.store.tables import customers
from app.store.tables_managed import keys
from tests.support.api import ADMIN_KEY, ENROL_KEY, Api, serving


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def add_key(api: Api, kind: KeyKind, *, customer: bool = True) -> tuple[str, str]:
    """Create a key, and return it with its id."""
    key = new_key(kind)
    async with api.context.database.write() as tx:
        customer_id = await tx.connection.scalar(select(customers.c.id)) if customer else None
        made = Key(new_id("key"), kind, "test", hint_of(key), api.context.clock(), customer_id)
        await insert_key(tx, made, api.context.secret.hash_key(key))
    return key, made.id


async def revoke(api: Api, key_id: str) -> bool:
    async with api.context.database.write() as tx:
        return await revoke_key(tx, key_id, api.context.clock())


def queries(api: Api) -> list[str]:
    """Record every statement from now on."""
    seen: list[str] = []
    engine = api.context.database.engines.reader.sync_engine
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_more: seen.append(statement))
    return seen


async def test_a_key_is_accepted_in_both_headers(api: Api):
    for headers in (
        {"Authorization": f"Bearer {ENROL_KEY}"},
        {"authorization": f"bearer  {ENROL_KEY} "},
        {"X-Tocsin-Key": ENROL_KEY},
    ):
        answer = await api.client.post("/v1/events", json=[], headers=headers)
        assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic eDp5"},
        {"X-Tocsin-Key": "x" * 10_000},
        {"X-Tocsin-Key": "ÿ"},
    ],
)
async def test_no_key_or_a_wrong_one_is_refused(api: Api, headers: dict[str, str]):
    answer = await api.client.post(
        "/v1/events", json=[], headers={name: value.encode("latin-1") for name, value in headers.items()}
    )  # type: ignore[misc]
    assert (answer.status_code, answer.json()["code"]) == (401, "key_unknown")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("kind", [KeyKind.ADMIN, KeyKind.VIEWER, KeyKind.RELAY])
async def test_a_key_of_another_kind_is_refused(api: Api, kind: KeyKind):
    key, _ = await add_key(api, kind)
    answer = await api.ask("POST", "/v1/events", key=key, json=[])
    assert (answer.status_code, answer.json()["code"]) == (403, "key_scope")
    assert kind in answer.json()["detail"]


async def test_an_enrolment_key_without_a_customer_is_refused(api: Api):
    key, _ = await add_key(api, KeyKind.ENROL, customer=False)
    assert (await api.ask("POST", "/v1/events", key=key, json=[])).status_code == 403


async def test_a_key_is_looked_up_again_only_after_some_seconds(api: Api):
    key, key_id = await add_key(api, KeyKind.VIEWER)
    seen = queries(api)
    authenticator = KeyAuthenticator(api.context)
    for _ in range(50):
        assert (await authenticator.admit(key)).key_id == key_id
    assert len([one for one in seen if "keys" in one]) == 1


async def test_wrong_keys_are_remembered_for_some_seconds_and_in_a_bounded_number(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(auth, "UNKNOWN_MOST", 10)
    authenticator = KeyAuthenticator(api.context)
    seen = queries(api)
    for wrong in ["wrong"] * 5 + [f"wrong-{n}" for n in range(30)]:
        with pytest.raises(NotAllowed):
            await authenticator.admit(wrong)
    assert len([one for one in seen if "keys" in one]) == 31
    assert len(authenticator._unknown) == 10


class WatchedKey(str):
    """A key whose text may only be measured and encoded as a whole. All else could end the sooner, the fewer characters are right."""

    __slots__ = ()

    def _refuse(self, *_: object) -> Never:
        raise AssertionError("the text of a key was compared, searched or cut")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __getitem__ = __iter__ = __hash__ = _refuse
    startswith = endswith = find = index = partition = rpartition = split = removeprefix = strip = _refuse


async def test_nothing_looks_at_the_text_of_a_key_but_its_hash(api: Api, monkeypatch: pytest.MonkeyPatch):
    key, key_id = await add_key(api, KeyKind.AGENT)
    compared: list[set[str]] = []
    compare = hmac.compare_digest

    def noted(one: str, other: str) -> bool:
        compared.append({one, other})
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    authenticator = KeyAuthenticator(api.context)
    for _ in range(2):  # the second time from memory
        assert (await authenticator.admit(WatchedKey(key))).key_id == key_id
    assert compared == [{api.context.secret.hash_key(key)}], "once, in constant time, and by the hash"
    with pytest.raises(NotAllowed):
        await authenticator.admit(WatchedKey(key[:-1] + "!"))


async def test_a_wrong_key_costs_the_same_however_many_of_its_characters_are_right(api: Api):
    key, _ = await add_key(api, KeyKind.AGENT)
    wrong = [key[:length] + "!" + key[length + 1 :] for length in range(0, len(key), 5)]
    authenticator = KeyAuthenticator(api.context)
    seen: list[tuple[str, object]] = []
    engine = api.context.database.engines.reader.sync_engine
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, sql, values, *_more: seen.append((sql, values)))
    for one in wrong:
        with pytest.raises(NotAllowed):
            await authenticator.admit(one)
    statements = {sql for sql, values in seen if "keys" in sql}
    asked_for = [str(values) for sql, values in seen if "keys" in sql]
    assert (len(statements), len(asked_for)) == (1, len(wrong))
    for one, values in zip(wrong, asked_for, strict=True):
        assert api.context.secret.hash_key(one) in values, "the database compares hashes, whose text nobody can choose"
        assert one[-10:] not in values


async def test_a_revoked_key_is_refused_at_once_here_and_within_5_s_elsewhere(api: Api):
    key, key_id = await add_key(api, KeyKind.VIEWER)
    here, elsewhere = KeyAuthenticator(api.context), KeyAuthenticator(api.context)
    await here.admit(key)
    await elsewhere.admit(key)
    assert await revoke(api, key_id)
    assert not await revoke(api, key_id), "revoked already"
    here.forget()
    with pytest.raises(NotAllowed):
        await here.admit(key)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            await elsewhere.admit(key)
        except NotAllowed:
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("it still lives")


async def test_a_look_up_during_a_revocation_is_not_remembered(api: Api):
    key, _ = await add_key(api, KeyKind.VIEWER)
    authenticator = KeyAuthenticator(api.context)
    lookup = asyncio.create_task(authenticator.admit(key))
    await asyncio.sleep(0)
    authenticator.forget()
    await lookup
    assert not authenticator._known


async def test_one_request_looks_a_key_up_again_while_the_others_use_the_old_answer(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(auth, "FRESH_S", 0.05)
    key, _ = await add_key(api, KeyKind.VIEWER)
    authenticator = KeyAuthenticator(api.context)
    await authenticator.admit(key)
    await asyncio.sleep(0.06)
    seen = queries(api)
    await asyncio.gather(*(authenticator.admit(key) for _ in range(20)))
    assert len([one for one in seen if "keys" in one]) == 1


async def test_many_keys_asked_for_at_once_take_two_reads_and_each_gets_its_own_answer(api: Api):
    made = [await add_key(api, KeyKind.ACCESS) for _ in range(20)]
    authenticator = KeyAuthenticator(api.context)
    seen = queries(api)
    asked = [*(key for key, _ in made), "tocsin_wrong", made[0][0]]
    answers = await asyncio.gather(*(authenticator.admit(key) for key in asked), return_exceptions=True)
    assert [one.key_id for one in answers if isinstance(one, auth.Caller)] == [
        *(key_id for _, key_id in made),
        made[0][1],
    ]
    assert isinstance(answers[20], NotAllowed)
    assert len([one for one in seen if "keys" in one]) == 2


async def test_a_request_that_is_cancelled_while_it_reads_keys_leaves_the_others_their_answers(api: Api):
    made = [await add_key(api, KeyKind.ACCESS) for _ in range(5)]
    authenticator = KeyAuthenticator(api.context)
    for turns in range(12):
        authenticator.forget()
        tasks = [asyncio.create_task(authenticator.admit(key)) for key, _ in made]
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        for place in (1, 3, 4):
            assert isinstance(answers[place], auth.Caller), (turns, answers)


async def test_the_last_use_of_a_key_is_written_in_the_background(api: Api):
    key, key_id = await add_key(api, KeyKind.VIEWER)
    authenticator = KeyAuthenticator(api.context)
    async with authenticator.recording_use():
        await authenticator.admit(key)
        async with api.context.database.read() as tx:
            found = await get_key(tx, key_id)
            assert found is not None
            assert found.last_used_at is None
    async with api.context.database.read() as tx:
        found = await get_key(tx, key_id)
        assert found is not None
        assert found.last_used_at is not None


async def test_the_table_contains_neither_key_nor_unkeyed_hash(api: Api):
    key, key_id = await add_key(api, KeyKind.VIEWER)
    async with api.context.database.read() as tx:
        row = (await tx.connection.execute(select(keys).where(keys.c.id == key_id))).one()
        assert key not in str(row)
        assert row.hash == api.context.secret.hash_key(key)
        assert len(row.hash) == 64
        assert row.hash in await find_by_hash(tx, [row.hash])


def test_a_new_key_is_long_and_names_its_kind():
    key = new_key("agent")
    assert key.startswith("tocsin_agent_")
    assert len(key) == len("tocsin_agent_") + 43
    assert hint_of(key).startswith(key.split("_", 2)[2][:4])
    assert len(hint_of(key)) == 5
    assert len(hint_of(ADMIN_KEY)) == 3
