"""No sentence of the pages stays English for a German reader.

What people, tools and the first start named is not translated. So the demo's own texts are taken out first, and what is left
must not have an English word that German does not have.
"""

import re
from html.parser import HTMLParser

import httpx
import pytest
from playwright.sync_api import StorageState

from tests.support.cli import Served

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "npm")]

PAGES = (
    *(
        "/",
        "/?state=missed",
        "/jobs",
        "/alerts",
        "/alerts?tab=acknowledged",
        "/alerts?tab=closed",
        "/alerts?tab=unclear",
    ),
    *(
        "/messages",
        "/messages?state=dead",
        "/routing",
        "/connect",
        "/relays",
        "/service",
        "/service/keys",
        "/service/links",
    ),
    *("/service/audit", "/people", "/account", "/prove", "/more"),
    *(f"/routing?tab={kind}" for kind in ("rules", "recipients", "silences", "summaries")),
    *(f"/routing/{kind}/new" for kind in ("routes", "rules", "recipients", "silences", "summaries")),
    *(f"/service/keys?new={kind}" for kind in ("enrol", "access", "monitor")),
)
OF_STRANGERS = ("/sign-in?next=/alerts",)
# Words of English sentences that no German sentence has.
ENGLISH = re.compile(
    r"\b(the|of|to|is|are|not|with|for|this|and|from|has|have|that|will|you|your|no|any|it|its|be|or|when|who|which|what)\b"
)
SKIPPED = frozenset(("script", "style", "pre", "code", "kbd", "svg", "iframe", "textarea"))
VOID = frozenset(("input", "br", "img", "meta", "link", "hr", "wbr"))
SPOKEN = frozenset(("title", "aria-label", "placeholder", "alt"))
# Named by the first start and the demo, and names of products.
NAMES = (
    *("made at the first start", "every morning", "everything", "demo of", "My backups", "(demo)", "Same as"),
    *("Cronitor telemetry", "Sentry cron monitors", "Uptime Kuma push", "Cronhub pings", "Loki push"),
)


class Texts(HTMLParser):
    """The texts that a reader sees or hears, without code and what is marked as another language."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        hidden = tag in SKIPPED or (tag != "html" and values.get("lang") == "en")
        if not hidden and not any(self._open):
            self.found += [value for name, value in attrs if name in SPOKEN and value]
        if tag not in VOID:
            self._open.append(hidden)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(self._open):
            self.found.append(" ".join(data.split()))


def english_in(page: str, names: list[str]) -> list[str]:
    """Return the texts of a page that are English. `names`: what is shown as it was entered."""
    parser = Texts()
    parser.feed(page)
    found = []
    for text in parser.found:
        left = text
        for name in names:
            left = left.replace(name, " ")
        if ENGLISH.search(left.lower()) and not left.endswith("…"):  # only what was entered is cut
            found.append(text)
    return found


def names_of(api: httpx.Client) -> list[str]:
    """Return what the demo and its tools named, the longest first: a name may be part of another one."""
    found = set(NAMES)
    for alert in api.get("/v1/alerts", params={"limit": 100}).json()["items"]:
        found |= {alert["message"] or ""}
    for message in api.get("/v1/messages", params={"limit": 100}).json()["items"]:
        found |= {message["subject"] or ""}
    for kind in ("jobs", "agents", "customers", "rules", "routes", "recipients"):
        found |= {one["name"] for one in api.get(f"/v1/{kind}", params={"limit": 100}).json()["items"]}
    return sorted(found - {""}, key=len, reverse=True)


def test_no_sentence_stays_english(demo: Served, owner: StorageState) -> None:
    key = re.search(r"tocsin_admin_\S+", demo.output)
    assert key is not None
    host = f"http://127.0.0.1:{demo.port}"
    with httpx.Client(base_url=host, headers={"Authorization": f"Bearer {key[0]}"}, timeout=60) as api:
        names = names_of(api)
        jobs = [f"/job/{one['id']}" for one in api.get("/v1/jobs", params={"limit": 4}).json()["items"]]
        kinds = {
            one["kind"]: f"/proof/{one['id']}" for one in api.get("/v1/alerts", params={"limit": 100}).json()["items"]
        }
        of_messages = [f"/proof/{one['id']}" for one in api.get("/v1/messages", params={"limit": 3}).json()["items"]]
    cookies = {one["name"]: one["value"] for one in owner["cookies"]}
    german = {"Accept-Language": "de", "Accept": "text/html"}
    left: dict[str, list[str]] = {}
    with (
        httpx.Client(base_url=host, cookies=cookies, headers=german, timeout=60) as reader,
        httpx.Client(base_url=host, headers=german, timeout=60) as stranger,
    ):
        for path in (*PAGES, *OF_STRANGERS, *jobs, *kinds.values(), *of_messages):
            answer = (stranger if path in OF_STRANGERS else reader).get(path)
            assert 'lang="de"' in answer.text, path
            if found := english_in(answer.text, names):
                left[path] = found
    assert left == {}


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("<p>Nobody is notified of it.</p>", ["Nobody is notified of it."]),
        ('<p>Niemand</p><input placeholder="Name of the host">', ["Name of the host"]),
        ("<p>Niemand hat ihn übernommen.</p><pre>no space left to write</pre>", []),
        ('<p><span lang="en">refused by the server</span> gesendet</p>', []),
        ("<p>Route „sql to the night shift“</p>", []),
    ],
)
def test_the_search_finds_english_and_nothing_else(page: str, found: list[str]) -> None:
    assert english_in(page, ["sql to the night shift"]) == found
