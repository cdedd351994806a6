"""Behind a reverse proxy, at the real process: whose address and scheme count, and that no header makes a link."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.support.running import CLIENT, LOG, Running, serving

pytestmark = pytest.mark.slow
PUBLIC = "https://tocsin.example"
PASSWORD = "correct horse battery"
CLIENTS, OTHERS = "198.51.100.7", "203.0.113.9"
PROXIES = "127.0.0.1, 192.0.2.0/24"  # the one that connects to us, and one in front of it
FORGED = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example;proto=https"}


@dataclass(slots=True)
class Visitor:
    """A browser behind a proxy: it keeps cookies also where they are for https only, and sends these headers each time."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, **fields: Any) -> httpx.Response:
        """Send one request."""
        sent = self.headers | {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        answer = CLIENT.request(method, f"{self.url}{path}", headers=sent, data=fields or None)
        self.set_cookies = answer.headers.get_list("set-cookie")
        for line in self.set_cookies:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return answer

    def send(self, page: str, action: str, **fields: str) -> httpx.Response:
        """Open a page and send one of its forms."""
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.ask("GET", page).text)
        assert found is not None, page
        return self.ask("POST", action, csrf=found[1], **fields)

    def sign_in(self, email: str = "ada@example.org", password: str = PASSWORD) -> httpx.Response:
        """Sign in with a password."""
        return self.send("/sign-in", "/sign-in/password", email=email, password=password, code="")


def first_owner(service: Running) -> None:
    """Let the first owner in by the link that the start printed, who chooses a password."""
    link = re.search(r"/link/\S+", (service.folder / LOG).read_text(encoding="utf-8"))
    assert link is not None
    here = Visitor(service.url)
    assert here.send(link[0], link[0], name="Ada", email="ada@example.org").status_code == 303
    assert here.send("/account", "/account/password", password=PASSWORD).status_code == 303


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that trusts two proxies."""
    folder = tmp_path_factory.mktemp("behind") / "var"
    with serving(folder, TOCSIN_TRUSTED_PROXIES=PROXIES, TOCSIN_BASE_URL=PUBLIC) as service:
        first_owner(service)
        yield service


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that knows no proxy."""
    with serving(tmp_path_factory.mktemp("bare") / "var") as service:
        first_owner(service)
        yield service


def admin(service: Running, method: str, path: str, key: str = "", **more: Any) -> httpx.Response:
    """Ask the API."""
    headers = {"Authorization": f"Bearer {key or service.admin_key}"} | more.pop("headers", {})
    return CLIENT.request(method, f"{service.url}{path}", headers=headers, **more)


def signed_in_from(service: Running) -> str | None:
    """Return the address in the audit entry of the newest sign-in by password."""
    entries = service.ask("/v1/audit", limit="50")["items"]
    found = [one for one in entries if one["action"] == "sign in" and one["change"].get("way") == "password"]
    return max(found, key=lambda one: one["id"])["change"]["address"]


# What the client and the proxies wrote, and whose address counts: the last one that is no trusted proxy.
CHAINS = [
    (CLIENTS, CLIENTS),
    (f"{OTHERS}, {CLIENTS}", CLIENTS),  # the client wrote the first one
    (f"{OTHERS}, {CLIENTS}, 192.0.2.5", CLIENTS),  # through both proxies
    (f"127.0.0.1, {CLIENTS}", CLIENTS),
    (f"{CLIENTS}, {OTHERS}, 192.0.2.5", OTHERS),
]


@pytest.mark.parametrize(("chain", "expected"), CHAINS)
def test_the_last_address_that_is_no_trusted_proxy_counts(behind: Running, chain: str, expected: str) -> None:
    assert Visitor(behind.url, {"X-Forwarded-For": chain}).sign_in().status_code == 303
    assert signed_in_from(behind) == expected
    for networks, status in (([f"{expected}/32"], 202), (["127.0.0.0/8", "192.0.2.0/24"], 403)):
        assert reports(behind, chain, networks) == status


def test_without_the_setting_the_headers_change_nothing(bare: Running) -> None:
    chain = f"{OTHERS}, {CLIENTS}, 192.0.2.5"
    claimed = {"X-Forwarded-For": chain, "X-Real-IP": CLIENTS, "Forwarded": f"for={CLIENTS};proto=https"}
    visitor = Visitor(bare.url, claimed | {"X-Forwarded-Proto": "https"})
    assert visitor.sign_in().status_code == 303
    assert signed_in_from(bare) == "127.0.0.1"
    assert not [line for line in visitor.set_cookies if "secure" in line.lower() or line.startswith("__Host-")]
    for networks, status in (([f"{CLIENTS}/32", f"{OTHERS}/32"], 403), (["127.0.0.1"], 202)):
        assert reports(bare, chain, networks) == status


def reports(service: Running, chain: str, networks: list[str]) -> int:
    """Report for a new agent with an enrolment key of these networks; return the status of the answer."""
    [customer] = service.ask("/v1/customers")["items"]
    body = {"kind": "enrol", "name": "site", "customer_id": customer["id"], "from_addresses": networks}
    key = admin(service, "POST", "/v1/keys", json=body).json()["key"]
    event = {"agent": "a", "job": "b", "outcome": "success"}
    return admin(service, "POST", "/v1/events", key, json=event, headers={"X-Forwarded-For": chain}).status_code


@pytest.mark.parametrize("which", ["behind", "bare"])
def test_the_last_use_of_a_key_names_the_address_behind_the_proxy(which: str, request: pytest.FixtureRequest) -> None:
    service: Running = request.getfixturevalue(which)
    expected = {}
    for number, (chain, counts) in enumerate(CHAINS):
        body = {"kind": "access", "name": f"program {number}", "role": "reader"}
        made = admin(service, "POST", "/v1/keys", json=body).json()
        admin(service, "GET", "/v1/jobs", made["key"], headers={"X-Forwarded-For": chain}).raise_for_status()
        expected[made["id"]] = counts if which == "behind" else "127.0.0.1"
    service.stop_and_start_again()  # it stores these once a minute, and when it ends
    assert {own: service.ask(f"/v1/keys/{own}")["last_used_from"] for own in expected} == expected


def test_wrong_passwords_delay_only_the_address_behind_the_proxy(behind: Running) -> None:
    """What a client writes in front of its own address must not allow it new tries."""
    codes = []
    for number in range(7):
        guesser = Visitor(behind.url, {"X-Forwarded-For": f"10.0.0.{number}, 198.51.100.66"})
        codes.append(guesser.sign_in(password="wrong password here").status_code)
    assert codes[:5] == [401] * 5
    assert 429 in codes[5:]
    assert Visitor(behind.url, {"X-Forwarded-For": CLIENTS}).sign_in().status_code == 303


def test_wrong_passwords_cannot_be_tried_on_by_claiming_other_addresses(bare: Running) -> None:
    codes = []
    for number in range(7):
        guesser = Visitor(bare.url, {"X-Forwarded-For": f"198.51.100.{number}", "X-Real-IP": f"198.51.100.{number}"})
        codes.append(guesser.sign_in("nobody@example.org", "wrong password here").status_code)
    assert codes[:5] == [401] * 5
    assert 429 in codes[5:]


@pytest.mark.parametrize("scheme", ["https", "http", ""])
def test_cookies_are_secure_by_the_setting_whatever_a_header_says(behind: Running, scheme: str) -> None:
    """A client that writes the header itself must not get a cookie that goes over http."""
    sent = {"X-Forwarded-For": CLIENTS} | ({"X-Forwarded-Proto": scheme} if scheme else {})
    visitor = Visitor(behind.url, sent)
    assert visitor.sign_in().status_code == 303
    assert visitor.set_cookies
    for line in visitor.set_cookies:
        assert line.startswith("__Host-"), line
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= {part.strip().lower() for part in line.split(";")}


@pytest.mark.parametrize("which", ["behind", "bare"])
def test_no_link_comes_from_a_header(which: str, request: pytest.FixtureRequest) -> None:
    service: Running = request.getfixturevalue(which)
    ours = PUBLIC if which == "behind" else service.url
    visitor = Visitor(service.url, FORGED | {"X-Forwarded-For": CLIENTS})
    assert visitor.sign_in().status_code == 303
    pages = ["/", "/jobs", "/alerts", "/messages", "/routing", "/connect", "/relays", "/service", "/service/keys"]
    pages += ["/service/links", "/people", "/account", "/sign-in", "/prove", "/docs", "/openapi.json", "/absent"]
    answers = [visitor.ask("GET", path) for path in pages]
    answers += [
        visitor.ask("GET", f"{path}/") for path in pages if path != "/"
    ]  # the server leads to the page without the slash
    made = visitor.send(
        "/people", "/people/new", name="Kim", email=f"kim.{which}@example.org", role="reader", sees="all"
    )
    assert f"{ours}/link/" in made.text
    shared = admin(
        service, "POST", "/v1/share-links", json={"kind": "calendar", "name": "x", "customer_ids": None}, headers=FORGED
    )
    asked = {"address": "kim@example.org"}
    mail = admin(service, "POST", "/v1/transports/file:preview", json=asked, headers=FORGED)
    assert f"{ours}/" in shared.text
    assert ours in mail.json()["content"].replace("=\r\n", ""), "the mail that it would send"
    for answer in [*answers, made, shared, mail]:
        assert "evil.example" not in answer.text, answer.url
        assert not [name for name, value in answer.headers.items() if "evil.example" in value], answer.url
