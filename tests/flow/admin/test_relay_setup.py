"""A relay is set up by a one-time code: made by an administrator, shown once, exchanged once for the relay's key, and of no use to anybody else."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.context import AppContext
from app.domain.setup_code import TRIES, new_code, read_code
from app.http import relay_setup
from app.http.program_files import MSI_X64, MSI_X86
from programs.protocol import relay as protocol
from programs.protocol.relay import SENT, RelayHeartbeat
from tests.support.api import Api, serving
from tests.support.relay import ScriptedRelay


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / MSI_X64).write_bytes(b"an MSI")
    async with serving(
        database_url, tmp_path, log_level="error", downloads_dir=folder, base_url="https://tocsin.example.org/o'clock"
    ) as api:
        yield api


async def exchange(api: Api, code: str, host: str = "MAIL01") -> httpx.Response:
    return await api.client.post(protocol.SETUP, json={"code": code, "host": host})


async def created(api: Api) -> dict[str, Any]:
    relay: dict[str, Any] = await api.tell("POST", "/v1/relays", json={"name": "mail01"})
    return relay


async def test_the_code_of_a_new_relay_is_exchanged_once_for_its_key(api: Api) -> None:
    relay = await created(api)
    code = relay["setup"]["code"]
    answer = await exchange(api, code)
    assert answer.status_code == 200, answer.text
    assert answer.json()["relay"] == "mail01"
    key = answer.json()["key"]
    await ScriptedRelay(api, relay["id"], key).beat()
    assert (await api.tell("GET", f"/v1/relays/{relay['id']}"))["host"] == "MAIL01"
    again = await exchange(api, code)
    assert (again.status_code, again.json()["code"]) == (401, "code_refused")
    entries = [(one["who"], one["action"]) for one in await api.items("/v1/audit") if one["noun"] == "relay"]
    assert entries[::-1] == [
        ("TOCSIN_ADMIN_KEY", "create"),
        ("TOCSIN_ADMIN_KEY", "setup code"),
        ("one-time code", "set up"),
    ]
    shown = str(await api.items("/v1/audit")) + str(await api.items("/v1/relays")) + str(await api.items("/v1/keys"))
    assert code not in shown
    assert key not in shown


@pytest.mark.parametrize(
    "typed", [str.lower, lambda code: code.replace("-", ""), lambda code: f"  {code.replace('-', ' ')}\n",
              lambda code: code.replace("0", "O").replace("1", "l")],
    ids=["in small letters", "without dashes", "with spaces", "O for 0 and l for 1"],
)  # fmt: skip
async def test_a_code_is_understood_however_it_is_typed(api: Api, typed: Any) -> None:
    code = (await created(api))["setup"]["code"]
    assert (await exchange(api, typed(code))).status_code == 200


@pytest.mark.parametrize("typed", ["", "x", "ABCD-EFGH-JKMN-PQRS-TVW!", "UUUU-UUUU-UUUU-UUUU-UUUU", "7" * 64, "ä" * 20])
async def test_what_is_no_code_is_refused(api: Api, typed: str) -> None:
    await created(api)
    assert (await exchange(api, typed)).status_code in (401, 422)


async def test_after_five_wrong_tries_the_right_code_is_refused_too(api: Api) -> None:
    code = (await created(api))["setup"]["code"]
    last = "1" if code[-1] != "1" else "2"
    for _ in range(TRIES):
        assert (await exchange(api, code[:-1] + last)).status_code == 401
    assert (await exchange(api, code)).status_code == 401


async def test_four_wrong_tries_leave_a_fifth(api: Api) -> None:
    code = (await created(api))["setup"]["code"]
    last = "1" if code[-1] != "1" else "2"
    for _ in range(TRIES - 1):
        assert (await exchange(api, code[:-1] + last)).status_code == 401
    assert (await exchange(api, code)).status_code == 200


@pytest.mark.parametrize(("minutes", "status"), [(59, 200), (60, 401), (600, 401)])
async def test_a_code_ends_after_an_hour(database_url: str, tmp_path: Path, minutes: int, status: int) -> None:
    async with serving(database_url, tmp_path, log_level="error") as api:
        relay = await created(api)
        expires_at = datetime.fromisoformat(relay["setup"]["expires_at"])
        context = api.context
        api.app.state.context = AppContext(
            context.settings, context.database, context.wakeups, context.secret,
            lambda: expires_at - timedelta(minutes=60) + timedelta(minutes=minutes),
        )  # fmt: skip
        assert (await exchange(api, relay["setup"]["code"])).status_code == status


async def test_a_new_code_ends_the_earlier_one_and_its_use_revokes_the_earlier_key(api: Api) -> None:
    relay = await created(api)
    key = (await exchange(api, relay["setup"]["code"])).json()["key"]
    first = (await api.tell("POST", f"/v1/relays/{relay['id']}:setup-code"))["code"]
    second = (await api.tell("POST", f"/v1/relays/{relay['id']}:setup-code"))["code"]
    assert (await exchange(api, first)).status_code == 401
    await ScriptedRelay(api, relay["id"], key).beat()  # until the new code is used
    new_key = (await exchange(api, second, "MAIL02")).json()["key"]
    await ScriptedRelay(api, relay["id"], new_key).beat()
    assert (await api.ask("POST", protocol.HEARTBEAT, key=key, json={})).status_code == 401


async def test_a_deleted_relay_has_no_code_any_more(api: Api) -> None:
    relay = await created(api)
    await api.tell("DELETE", f"/v1/relays/{relay['id']}")
    assert (await exchange(api, relay["setup"]["code"])).status_code == 401
    missing = await api.ask("POST", f"/v1/relays/{relay['id']}:setup-code")
    assert missing.status_code == 404


async def test_only_administrators_make_codes(api: Api) -> None:
    relay = await created(api)
    viewer = (await api.tell("POST", "/v1/keys", json={"kind": "viewer", "name": "v"}))["key"]
    assert (await api.ask("POST", f"/v1/relays/{relay['id']}:setup-code", key=viewer)).status_code == 403


async def test_codes_cannot_be_tried_fast(api: Api) -> None:
    answers = [await exchange(api, "ABCD-EFGH-JKMN-PQRS-TVWX") for _ in range(relay_setup.TRIES_MOST + 1)]
    assert {answer.status_code for answer in answers[:-1]} == {401}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_the_lines_to_paste_name_the_files_that_there_are_with_their_hash(api: Api) -> None:
    setup = (await created(api))["setup"]
    assert [one["file"] for one in setup["programs"]] == [MSI_X64, "tocsin-relay.pyz"]
    assert setup["not_built"] == [MSI_X86]
    for program in setup["programs"]:
        download, set_up = program["lines"]
        served = await api.client.get(f"/downloads/{program['file']}")
        assert served.headers["X-Checksum-Sha256"] == program["sha256"]
        assert program["sha256"] in download
        assert f"'https://tocsin.example.org/o''clock/downloads/{program['file']}'" in download, "quoted for PowerShell"
        assert set_up.endswith(f"setup --server 'https://tocsin.example.org/o''clock' --code {setup['code']}")
    hashed = await api.client.get(f"/downloads/{MSI_X64}.sha256")
    assert hashed.text == f"{setup['programs'][0]['sha256']}  {MSI_X64}\n"
    assert (await api.client.get(f"/downloads/{MSI_X86}")).status_code == 404
    assert "make msi" in (await api.client.get(f"/downloads/{MSI_X86}")).json()["detail"]


async def test_a_relay_sees_its_heartbeat_and_the_way_of_its_test_message(api: Api) -> None:
    made = await created(api)
    key = (await exchange(api, made["setup"]["code"])).json()["key"]
    relay = ScriptedRelay(api, made["id"], key)
    fresh = protocol.CheckAnswer.from_json((await api.ask("POST", protocol.CHECK, key=key, json={})).content)
    assert (fresh.relay, fresh.heartbeat) == ("mail01", None)
    await relay.beat(doctor_at="2026-11-26T21:00:00+00:00")

    async def check(**asked: str) -> protocol.CheckAnswer:
        return protocol.CheckAnswer.from_json((await api.ask("POST", protocol.CHECK, key=key, json=asked)).content)

    queued = await check(test_to="you@example.org")
    assert isinstance(queued.heartbeat, RelayHeartbeat)
    assert queued.heartbeat.doctor_at == "2026-11-26T21:00:00+00:00"
    assert queued.state == "queued"
    [mail] = await relay.send(outcome=SENT)
    assert (mail.id, mail.recipient) == (queued.message_id, "you@example.org")
    sent = await check(message_id=queued.message_id)
    assert (sent.state, "as the test says" in sent.why) == ("sent", True)
    other = await created_with_key(api, "mail02")
    elsewhere = await api.ask("POST", protocol.CHECK, key=other, json={"message_id": queued.message_id})
    assert elsewhere.json()["state"] == "", "of other relays' messages it learns nothing"
    bad = await api.ask("POST", protocol.CHECK, key=key, json={"test_to": "a@b\r\nBcc: c@d"})
    assert bad.status_code == 422


async def created_with_key(api: Api, name: str) -> str:
    relay = await api.tell("POST", "/v1/relays", json={"name": name})
    key: str = (await exchange(api, relay["setup"]["code"])).json()["key"]
    return key


def test_no_two_codes_are_alike_and_each_can_be_read() -> None:
    codes = [new_code() for _ in range(1000)]
    assert len({read_code(code) for code in codes} - {None}) == 1000


async def test_of_many_who_use_a_code_at_once_one_gets_the_only_key(api: Api) -> None:
    made = await created(api)
    answers = await asyncio.gather(*(exchange(api, made["setup"]["code"], f"HOST{n}") for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7
    assert (
        len([one for one in await api.items("/v1/keys") if one["kind"] == "relay" and one["revoked_at"] is None]) == 1
    )
