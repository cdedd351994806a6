"""The answer to each tool when its key is unknown and when it calls in unusual ways. No answer and no log line repeats a key."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api import ENROL_KEY, Api, serving

WRONG = "0f0e2f3c-5b7a-4f5e-9c8d-7a6b5c4d3e2f"
ADDRESSES = [
    ("GET", "/api/push/{}", 404, '{"ok":false,"msg":"Monitor not found or not active."}'),
    ("GET", "/ping/{}", 404, "not found"),
    ("GET", "/p/{}/nightly?state=run", 404, "Not Found"),
    ("GET", "/in/cronitor/{}/run", 404, "Not Found"),
    ("GET", "/start/{}", 404, "Not Found"),
    ("GET", "/in/cronhub/finish/{}", 404, "Not Found"),
    ("POST", "/api/1/cron/nightly/{}/?status=ok", 404, None),
    ("POST", "/in/zabbix/{}/api_jsonrpc.php", 401, None),
    ("POST", "/in/loki/{}/loki/api/v1/push", 401, None),
    ("POST", "/in/pagerduty/{}/v2/enqueue", 400, None),
    ("POST", "/in/pushover/{}/1/messages.json", 400, None),
    ("POST", "/in/alertmanager/{}", 404, '{"ok":false,"error":"no such key"}'),
    ("HEAD", "/in/resticprofile/{}/start", 404, ""),
    ("POST", "/in/apprise/{}", 404, '{"error":"no such key"}'),
    ("POST", "/notify/{}", 404, '{"error":"no such key"}'),
    ("PUT", "/in/ntfy/{}/backups", 401, None),
    ("GET", "/in/ntfy/{}/backups/publish?message=x", 401, None),
    ("POST", "/in/restic/{}?job=nightly", 404, '{"ok":false,"error":"no such key"}'),
    ("POST", "/in/borg/{}", 404, '{"ok":false,"error":"no such key"}'),
    ("POST", "/message?token={}", 401, None),
    ("POST", "/in/gotify/{}/message", 401, None),
    *(("POST", f"/in/{tool}/{{}}", 404, None) for tool in ("backrest", "duplicati", "kopia", "proxmox")),
]


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path) as api:
        yield api


@pytest.mark.parametrize(("method", "address", "status", "text"), ADDRESSES)
async def test_an_unknown_key_is_refused_in_the_tool_s_own_words(api: Api, method, address, status, text, capsys):
    answer = await api.client.request(method, address.format(WRONG))
    assert answer.status_code == status
    assert text is None or answer.text == text
    output = capsys.readouterr()
    assert WRONG not in answer.text + output.out + output.err
    assert await api.items("/v1/events") == []


@pytest.mark.parametrize(("method", "address"), [row[:2] for row in ADDRESSES])
async def test_what_a_tool_says_in_no_known_way_is_an_event_all_the_same(api: Api, method: str, address: str, capsys):
    answer = await api.client.request(method, address.format(ENROL_KEY), content=b"\xff\x00 gibberish")
    assert answer.is_success
    (event,) = await api.items("/v1/events")
    assert event["flags"] is None or "log_cut" not in event["flags"]
    output = capsys.readouterr()
    assert ENROL_KEY not in output.out + output.err + answer.text
    assert ENROL_KEY not in str(await api.tell("GET", f"/v1/events/{event['id']}"))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_push_may_come_in_any_method(api: Api, method: str):
    assert (await api.client.request(method, f"/api/push/{ENROL_KEY}?status=down")).status_code == 200
    (event,) = await api.items("/v1/events")
    assert (event["job"], event["outcome"]) == ("uptime-kuma", "failure")


@pytest.mark.parametrize(
    ("address", "job"),
    [
        ("/in/cronhub/{}/fail/1f5e3410-254c", "1f5e3410-254c"),
        ("/in/cronhub/fail/{}", "cronhub"),
        ("/in/cronitor/{}/p/their-key/photos?state=fail", "photos"),
        ("/in/cronitor/{}/d3x0c1/fail", "d3x0c1"),
    ],
)
async def test_an_old_address_works_behind_a_key_of_ours(api: Api, address: str, job: str):
    assert (await api.client.get(address.format(ENROL_KEY))).text == "OK"
    (event,) = await api.items("/v1/events")
    assert (event["job"], event["outcome"]) == (job, "failure")


async def test_a_key_may_be_zabbix_s_token_and_loki_s_password(api: Api):
    call = {"jsonrpc": "2.0", "method": "history.push", "params": {"itemid": 7, "value": "ERROR"}, "id": 3}
    answer = await api.ask("POST", "/in/zabbix/api_jsonrpc.php", key=ENROL_KEY, json=call)
    assert (answer.status_code, answer.json()["id"], answer.json()["result"]["response"]) == (200, 3, "success")
    stream = {"streams": [{"stream": {"hostname": "nas01"}, "values": [["1795393977152186267", "Failed backup"]]}]}
    answer = await api.client.post("/loki/api/v1/push", json=stream, auth=("any", ENROL_KEY))
    assert answer.status_code == 204
    assert {event["outcome"] for event in await api.items("/v1/events")} == {"failure"}


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("/message?token={}", {}),
        ("/message", {"X-Gotify-Key": "{}"}),
        ("/message", {"Authorization": "Bearer {}"}),
        ("/gotify/message?token={}", {}),
        ("/in/gotify/{}/message", {}),
        ("/in/gotify/{}", {}),
        ("/in/gotify/message", {"X-Gotify-Key": "{}"}),
        ("/in/gotify/message?token={}", {}),
        ("/message", {"X-Gotify-Key": "{}", "Authorization": "Basic cHJveHk6c2VjcmV0"}),
    ],
)
async def test_gotify_s_token_may_stand_wherever_gotify_has_it(api: Api, address: str, headers: dict[str, str]):
    sent_headers = {name: value.format(ENROL_KEY) for name, value in headers.items()}
    message = {"title": "Backup failed", "message": "disk full", "priority": 9}
    answer = await api.client.post(address.format(ENROL_KEY), json=message, headers=sent_headers)
    assert (answer.status_code, answer.json()["id"]) == (200, 1)
    (event,) = await api.items("/v1/events")
    assert (event["outcome"], event["message"]) == ("failure", "Backup failed")


async def test_gotify_takes_a_form_as_its_own_page_has_curl_send_it(api: Api):
    parts = {"title": (None, "Backup failed"), "message": (None, "grün"), "priority": (None, "5")}
    assert (await api.client.post(f"/message?token={ENROL_KEY}", files=parts)).status_code == 200
    assert (await api.client.post(f"/message?token={ENROL_KEY}", data={"title": "Backup failed"})).status_code == 200
    assert [event["outcome"] for event in await api.items("/v1/events")] == ["failure", "failure"]


@pytest.mark.parametrize("tool", ["backrest", "duplicati", "kopia", "proxmox"])
async def test_a_report_s_key_may_stand_in_a_header(api: Api, tool: str):
    answer = await api.ask("POST", f"/in/{tool}", key=ENROL_KEY, content=b"Event: snapshot error\nTask: backup")
    assert (answer.status_code, answer.json()) == (200, {"ok": True})
    assert len(await api.items("/v1/events")) == 1
    assert (await api.ask("POST", f"/in/{tool}", key=WRONG)).status_code == 404


async def test_a_report_that_is_sent_again_counts_once(api: Api):
    report = {
        "Data": {"ParsedResult": "Error", "EndTime": "2026-11-23T01:03:11.1234567Z"},
        "Extra": {"machine-name": "a"},
    }
    other = {**report, "Exception": "disk full"}
    for body in (report, report, other):
        assert (await api.client.post(f"/in/duplicati/{ENROL_KEY}", json=body)).status_code == 200
    assert len(await api.items("/v1/events")) == 2


async def test_ntfy_s_clients_log_in_by_any_of_its_ways(api: Api):
    headers = {"Title": "Backup failed", "Tags": "skull"}
    basic = b64encode(f"any:{ENROL_KEY}".encode()).decode()
    packed = urlsafe_b64encode(f"Basic {basic}".encode()).decode().rstrip("=")
    for address, login in (
        ("/backups", {"Authorization": f"Bearer {ENROL_KEY}"}),
        ("/ntfy/backups", {"Authorization": f"Basic {basic}"}),
        (f"/backups?auth={packed}", {}),
        ("/in/ntfy/backups", {"Authorization": f"Bearer {ENROL_KEY}"}),
        (f"/in/ntfy/{ENROL_KEY}/backups", {"Authorization": "Bearer tk_another"}),
    ):
        answer = await api.client.put(address, content=address.partition("?")[0], headers={**headers, **login})
        assert (answer.status_code, answer.json()["event"], answer.json()["topic"]) == (200, "message", "backups")
    answer = await api.client.post(
        "/",
        json={"topic": "backups", "title": "Backup failed"},
        headers=login | {"Authorization": f"Bearer {ENROL_KEY}"},
    )
    assert answer.is_success
    answer = await api.client.get(f"/backups/trigger?t=Backup+failed&auth={packed}")
    assert answer.is_success
    events = await api.items("/v1/events")
    assert {(event["job"], event["outcome"]) for event in events} == {("backups", "failure")}
    assert len(events) == 7


async def test_at_the_root_there_is_nothing_without_a_login(api: Api):
    for method, address in (("POST", "/"), ("PUT", "/backups"), ("GET", "/backups/publish"), ("GET", "/backups")):
        answer = await api.client.request(method, address)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await api.client.put("/backups", headers={"Authorization": "Bearer tk_another"})).json()["code"] == 40101
    assert (await api.client.get("/healthz")).is_success
    assert await api.items("/v1/events") == []


async def test_cloudevents_begin_with_a_handshake(api: Api):
    for address in ("/in/cloudevents", f"/in/cloudevents/{ENROL_KEY}"):
        answer = await api.client.options(
            address, headers={"WebHook-Request-Origin": "grid.example.org", "WebHook-Request-Rate": "120"}
        )
        assert (answer.headers["WebHook-Allowed-Origin"], answer.headers["WebHook-Allowed-Rate"]) == (
            "grid.example.org",
            "*",
        )
        assert "POST" in answer.headers["Allow"]
        assert "WebHook-Allowed-Origin" not in (await api.client.options(address)).headers


async def test_a_cloudevent_that_is_none_is_refused_and_kept(api: Api):
    assert (await api.client.post(f"/in/cloudevents/{WRONG}", json={})).status_code == 401
    answer = await api.client.post(f"/in/cloudevents/{ENROL_KEY}", json={"specversion": "1.0", "id": "1"})
    assert answer.status_code == 400
    (event,) = await api.items("/v1/events")
    assert (event["outcome"], event["activity"]) == ("unclear", "other")


async def test_a_program_s_output_that_is_too_long_is_cut_and_its_exit_code_is_heard(api: Api):
    output = b'{"message_type":"status","percent_done":1}\n' * 500_000 + b"Fatal: repository is full\n"
    answer = await api.client.post(f"/in/restic/{ENROL_KEY}?job=photos&exit_code=1", content=output)
    assert answer.is_success
    (event,) = await api.items("/v1/events")
    assert (event["outcome"], event["message"]) == ("failure", "repository is full")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH"])
@pytest.mark.parametrize(
    "address",
    [
        "/ping/{}/fail",
        "/{}/fail",
        "/in/healthchecks/{}/fail",
        "/p/{}/nightly?state=fail",
        "/fail/{}",
        "/api/push/{}?status=down",
    ],
)
async def test_a_ping_may_come_in_any_method(api: Api, method: str, address: str):
    """The services that take pings look at no method; `curl -T log` sends a PUT."""
    assert (await api.client.request(method, address.format(ENROL_KEY), content=b"disk full")).is_success
    assert [event["outcome"] for event in await api.items("/v1/events")] == ["failure"]


@pytest.mark.parametrize(
    "address",
    [
        "//ping/{}/fail",
        "/ping//{}/fail",
        "///in//healthchecks/{}//fail",
        "//api/push/{}?status=down",
        "//in/ntfy/{}/photos?title=failed",
        "//message?token={}&title=failed",
    ],
)
async def test_a_double_slash_in_an_address_counts_as_one(api: Api, address: str):
    assert (await api.client.request("PUT", "http://tocsin" + address.format(ENROL_KEY), content=b"")).is_success
    assert [event["outcome"] for event in await api.items("/v1/events")] == ["failure"]


async def test_a_double_slash_before_our_own_paths_counts_as_one(api: Api):
    sent = {"agent": "sql01", "job": "nightly", "outcome": "failure"}
    assert (await api.ask("POST", "http://tocsin//v1/events", key=ENROL_KEY, json=sent)).status_code == 202
    assert [event["job"] for event in await api.items("http://tocsin//v1//events")] == ["nightly"]
