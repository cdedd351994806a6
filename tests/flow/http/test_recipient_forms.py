"""Recipients of each transport by the form of the page: stored as by the API, secrets kept and never shown, errors next to their fields."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.person import Role
from app.store.routing import RECIPIENTS
from tests.support.api import Api, serving
from tests.support.browser import Browser, browsing, link_for, person

_SECRET, _OTHER_SECRET = "first-secret-of-this-form", "other-secret-of-this-form"
_PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Way:
    """What is entered for a transport, what the API would take for it, the secrets in it, and a value that is refused with its text."""

    transport: str
    address: str
    entered: Mapping[str, str]
    options: Mapping[str, Any]
    wrong: tuple[str, str, str]
    secrets: Mapping[str, str] = field(default_factory=dict)


_WAYS = [
    Way(
        "webhook",
        "https://hooks.example.org/tocsin",
        {
            "format": "slack",
            "template": '{"text": {{ data.subject | tojson }}}',
            "headers": "x-team: backup\nx-site: a:b",
        },
        {
            "format": "slack",
            "template": '{"text": {{ data.subject | tojson }}}',
            "headers": {"x-team": "backup", "x-site": "a:b"},
            "secret_headers": {"authorization": _SECRET},
        },
        ("headers", "authorization: Bearer x", "authorization is a secret"),
        {"secret_headers": f"authorization: {_SECRET}"},
    ),
    Way(
        "alertmanager",
        "https://am1.example.org https://am2.example.org",
        {"labels": "team: backup", "annotations": "text: {job}\n  {message}", "user": "tocsin", "refresh_s": "90"},
        {
            "labels": {"team": "backup"},
            "annotations": {"text": "{job}\n{message}"},
            "user": "tocsin",
            "refresh_s": 90,
            "password": _SECRET,
            "bearer_token": _OTHER_SECRET,
        },
        ("refresh_s", "4", "a whole number from 5 to 3600"),
        {"password": _SECRET, "bearer_token": _OTHER_SECRET},
    ),
    Way(
        "pagerduty",
        "https://events.pagerduty.com/v2/enqueue",
        {"severities": "error: critical"},
        {"severities": {"error": "critical"}, "routing_key": _SECRET, "webhook_secret": _OTHER_SECRET},
        ("severities", "error", "write lines such as error: critical"),
        {"routing_key": _SECRET, "webhook_secret": _OTHER_SECRET},
    ),
    Way(
        "opsgenie",
        "https://api.opsgenie.com",
        {"priorities": "warning: P2\ninfo: P4"},
        {"priorities": {"warning": "P2", "info": "P4"}, "api_key": _SECRET, "webhook_secret": _OTHER_SECRET},
        ("priorities", "warning: P9", "P1 to P5"),
        {"api_key": _SECRET, "webhook_secret": _OTHER_SECRET},
    ),
    Way(
        "syslog",
        "tls://logs.example.org:6514",
        {"facility": "local3", "ca_certificate": _PEM},
        {"facility": "local3", "ca_certificate": _PEM},
        ("ca_certificate", "no certificate", "it must begin with -----BEGIN CERTIFICATE-----"),
    ),
    Way(
        "snmp",
        "snmp://nms.example.org:162",
        {"version": "3", "form": "inform", "user": "tocsin", "auth_protocol": "sha512", "priv_protocol": "aes256"},
        {
            "version": "3",
            "form": "inform",
            "user": "tocsin",
            "auth_protocol": "sha512",
            "priv_protocol": "aes256",
            "community": "a community",
            "auth_password": _SECRET,
            "priv_password": _OTHER_SECRET,
        },
        ("user", "a:b", "at most 200 characters, and no colon"),
        {"community": "a community", "auth_password": _SECRET, "priv_password": _OTHER_SECRET},
    ),
    Way(
        "icinga2",
        "https://icinga.example.org:5665",
        {
            "host": "{agent}.example.org",
            "service": "{job} {kind}!",
            "user": "api",
            "ttl_s": "3600",
            "ca_certificate": _PEM,
        },
        {
            "host": "{agent}.example.org",
            "service": "{job} {kind}!",
            "user": "api",
            "ttl_s": 3600,
            "ca_certificate": _PEM,
            "password": _SECRET,
        },
        ("service", "backup", "it must contain {kind}"),
        {"password": _SECRET},
    ),
    Way(
        "nagios",
        "https://nagios.example.org/nrdp/",
        {"host": "backup", "service": "{kind}"},
        {"host": "backup", "service": "{kind}", "token": _SECRET},
        ("host", "{who}", "unknown name {who}"),
        {"token": _SECRET},
    ),
    Way(
        "zabbix",
        "zabbix://zabbix.example.org:10051",
        {"host": "{customer}-{agent}", "key": "state[{kind}]"},
        {"host": "{customer}-{agent}", "key": "state[{kind}]"},
        ("key", "state", "it must contain {kind}"),
    ),
    Way(
        "apprise",
        "phone",
        {},
        {"url": f"ntfys://ntfy.example.org/{_SECRET}"},
        ("address", "https://phone", "address is a name of your choice"),
        {"url": f"ntfys://ntfy.example.org/{_SECRET}"},
    ),
]
_EACH = pytest.mark.parametrize("way", _WAYS, ids=lambda way: way.transport)


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def _sign_in(api: Api, browser: Browser) -> None:
    path = await link_for(api, await person(api, "owner@example.org", Role.ADMINISTRATOR, None))
    await browser.send(path, path)


def _fields(page: httpx.Response) -> list[tuple[str, str]]:
    """Return what the form of a page would send, in its order."""
    form = page.text.partition('" class="stack">')[2].partition("</form>")[0]
    found: list[tuple[str, str]] = []
    tags = r'<input [^>]*>|<select [^>]*name="[^"]+"[^>]*>.*?</select>|<textarea [^>]*>.*?</textarea>'
    for tag in re.findall(tags, form, re.DOTALL):
        named = re.search(r'name="([^"]+)"', tag)
        assert named is not None
        if tag.startswith("<input"):
            value = re.search(r'value="([^"]*)"', tag)
        elif tag.startswith("<select"):
            value = re.search(r'value="([^"]*)" selected', tag) or re.search(r'<option value="([^"]*)"', tag)
        else:
            value = re.search(r">\n?(.*)</textarea>", tag, re.DOTALL)
        found.append((named[1], unescape(value[1]) if value else ""))
    return found


def _entered(page: httpx.Response, changes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what the form would send after a person changed the first field of each of these names."""
    left = dict(changes)
    fields = [(name, left.pop(name, value)) for name, value in _fields(page)]
    assert left == {}, "the form has no such field"
    return fields


async def _post(browser: Browser, path: str, fields: list[tuple[str, str]], step: str = "save") -> httpx.Response:
    data: dict[str, list[str]] = {}
    for name, value in [*fields, ("step", step)]:
        data.setdefault(name, []).append(value.replace("\n", "\r\n"))  # as browsers send it
    return await browser.client.post(path, data=data)


async def _new_form(browser: Browser, way: Way) -> httpx.Response:
    """Return the form for a recipient, after its transport was chosen."""
    page = await browser.get("/routing/recipients/new")
    chosen = _entered(page, {"name": f"by {way.transport}", "transport": way.transport})
    return await _post(browser, "/routing/recipients", chosen, "fields")


def _rows(values: Mapping[str, str]) -> dict[str, str]:
    return {f"0.{name}": value for name, value in values.items()}


async def _stored(api: Api, name: str) -> Any:
    return next(one for one in await api.items("/v1/recipients") if one["name"] == name)


async def _unsealed(api: Api, recipient_id: str) -> dict[str, Any]:
    """Return the options of the first address as they are stored, with the secrets read."""
    async with api.context.database.read() as tx:
        options = (await RECIPIENTS.get(tx, recipient_id)).transports[0].options

    def read(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: read(one) for name, one in value.items()}
        return api.context.secret.unseal(value.ciphertext) if hasattr(value, "ciphertext") else value

    return {name: read(getattr(options, name)) for name in type(options).__dataclass_fields__}


@_EACH
async def test_it_is_stored_as_by_the_api_and_keeps_its_secrets(api: Api, way: Way) -> None:
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        form = await _new_form(browser, way)
        entered = {"address": way.address, **_rows(way.entered | way.secrets)}
        saved = await _post(browser, "/routing/recipients", _entered(form, entered))
        assert saved.status_code == 303, saved.text
        by_page = await _stored(api, f"by {way.transport}")
        sent = {"transport": way.transport, "address": way.address, "options": way.options}
        by_api = await api.tell("POST", "/v1/recipients", json={"name": "by the API", "transports": [sent]})
        assert by_page["transports"] == by_api["transports"]
        assert await _unsealed(api, by_page["id"]) == await _unsealed(api, by_api["id"])

        path = f"/routing/recipients/{by_page['id']}"
        page = await browser.get(path)
        assert _SECRET not in page.text
        renamed = await _post(browser, path, _entered(page, {"name": "renamed"}))
        assert renamed.status_code == 303, renamed.text
        assert (await _stored(api, "renamed"))["transports"] == by_page["transports"]
        assert await _unsealed(api, by_page["id"]) == await _unsealed(api, by_api["id"])


@_EACH
async def test_a_wrong_value_is_refused_at_its_field_and_what_was_entered_stays(api: Api, way: Way) -> None:
    name, value, rule = way.wrong
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        form = await _new_form(browser, way)
        rows = _rows({**way.entered, **way.secrets})
        place = "address" if name == "address" else f"0.{name}"
        entered = {"address": way.address, **rows, place: value}
        refused = await _post(browser, "/routing/recipients", _entered(form, entered))
        assert refused.status_code == 422
        about = refused.text.partition(f'id="about-{place.replace("address", "0")}"')[2].partition("</p>")[0]
        assert rule in unescape(about)
        again = dict(reversed(_fields(refused)))
        assert again["name"] == f"by {way.transport}"
        assert again["address"] == entered["address"]
        for kept, text in way.entered.items():
            assert again[f"0.{kept}"] == (value if kept == name else text)
        assert _SECRET not in refused.text
        for secret in way.secrets:
            assert not again[f"0.{secret}"].rpartition(":")[2]
        assert ("Enter the new ones again" in refused.text) == bool(way.secrets)
    assert all(one["name"] != f"by {way.transport}" for one in await api.items("/v1/recipients"))


@_EACH
async def test_nothing_is_saved_before_the_fields_of_the_transport_were_shown(api: Api, way: Way) -> None:
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        page = await browser.get("/routing/recipients/new")
        fields = _entered(page, {"name": "early", "transport": way.transport, "address": way.address})
        shown = await _post(browser, "/routing/recipients", fields)
        assert shown.status_code == 200
        assert all(f'name="0.{name}"' in shown.text for name in way.entered)
        assert dict(reversed(_fields(shown)))["address"] == way.address
    assert all(one["name"] != "early" for one in await api.items("/v1/recipients"))


@pytest.mark.parametrize("way", [way for way in _WAYS if way.secrets], ids=lambda way: way.transport)
async def test_a_secret_is_not_sent_to_another_address_and_nobody_loses_it_unseen(api: Api, way: Way) -> None:
    sent = {"transport": way.transport, "address": way.address, "options": way.options}
    made = await api.tell("POST", "/v1/recipients", json={"name": "kim", "transports": [sent]})
    path = f"/routing/recipients/{made['id']}"
    elsewhere = {"apprise": "tablet", "snmp": "snmp://other.example.org"}.get(
        way.transport, "https://other.example.org/a"
    )
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        moved = await _post(browser, path, _entered(await browser.get(path), {"address": elsewhere}))
        assert moved.status_code == 422
        about = moved.text.partition("Not saved.")[2].partition("</div>")[0]
        assert "after you changed the address" in about or "if you changed the address" in about
        again = await _post(browser, path, _entered(moved, {"address": elsewhere, **_rows(way.secrets)}))
        assert again.status_code == 303, again.text
        [stored] = (await _stored(api, "kim"))["transports"]
        assert stored["address"] == elsewhere


async def test_a_header_is_removed_with_its_line_and_a_row_with_its_transport(api: Api) -> None:
    options = {"secret_headers": {"authorization": _SECRET, "x-api-key": _OTHER_SECRET}}
    ways = [
        {"transport": "webhook", "address": "https://hooks.example.org/a", "options": options},
        {"transport": "zabbix", "address": "zabbix://zabbix.example.org"},
    ]
    made = await api.tell("POST", "/v1/recipients", json={"name": "kim", "transports": ways})
    path = f"/routing/recipients/{made['id']}"
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        page = await browser.get(path)
        assert dict(reversed(_fields(page)))["0.secret_headers"] == "authorization:\nx-api-key:"
        one_header = _entered(page, {"0.secret_headers": "x-api-key:"})
        fields = [(name, "" if value == "zabbix" and name == "transport" else value) for name, value in one_header]
        saved = await _post(browser, path, fields)
        assert saved.status_code == 303, saved.text
        [left] = (await _stored(api, "kim"))["transports"]
        assert left["options"]["secret_headers"] == {"x-api-key": "set"}
        saved = await _post(browser, path, _entered(await browser.get(path), {"0.secret_headers": ""}))
        assert saved.status_code == 303, saved.text
        [left] = (await _stored(api, "kim"))["transports"]
        assert left["options"]["secret_headers"] == {}


async def test_a_form_that_is_sent_as_it_is_keeps_each_transport(api: Api) -> None:
    ways = [{"transport": way.transport, "address": way.address, "options": way.options} for way in _WAYS[:9]]
    made = await api.tell("POST", "/v1/recipients", json={"name": "everything", "transports": ways})
    path = f"/routing/recipients/{made['id']}"
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        saved = await _post(browser, path, _fields(await browser.get(path)))
        assert saved.status_code == 303, saved.text
    assert (await _stored(api, "everything"))["transports"] == made["transports"]
