"""No page in German has an English sentence of ours: each text is in the catalogs, and what is stored in English is translated."""

import asyncio
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from app.domain.person import Role
from app.http.pages import languages
from app.worker import run
from tests.support.api import Api, serving
from tests.support.browser import Browser, browsing, link_for, person

_LEFT_OUT = ("code", "pre", "script", "style", "blockquote", "option")  # names, commands, and what an agent sent
_SHOWN_ATTRIBUTES = ("aria-label", "title", "placeholder", "data-title", "data-copied")
_WITHOUT_END = ("meta", "link", "input", "br", "img", "hr")
_ENGLISH = re.compile(
    r"\b(the|is|are|and|of|with|this|that|has|have|been|from|which|it|its|be|by|to|for|not|no)\b", re.IGNORECASE
)
_PLACE = re.compile(r"%\\\(\w+\\\)s")
_PAGES = [
    *("/", "/?state=failed&days=90", "/alerts", "/alerts?tab=closed", "/alerts?tab=silenced", "/alerts?tab=unclear"),
    *("/jobs", "/messages", "/people", "/account", "/more", "/connect", "/relays", "/nothing-here"),
    *("/routing", "/routing?tab=rules", "/routing?tab=recipients", "/routing?tab=silences", "/routing?tab=summaries"),
    *("/service", "/service/keys", "/service/keys?new=access", "/service/links", "/service/audit"),
]


class _Texts(HTMLParser):
    """Collects the texts that a reader sees or hears, without those that are marked as English."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._open: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_left_out = tag in _LEFT_OUT or (tag != "html" and given.get("lang") == "en")
        if not any(self._open) and not is_left_out:
            self.texts += [value for name in _SHOWN_ATTRIBUTES if (value := given.get(name))]
        if tag not in _WITHOUT_END:
            self._open.append(is_left_out)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _WITHOUT_END:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(self._open):
            self.texts.append(" ".join(data.split()))


def english_in(page: str) -> list[str]:
    """Return the texts of a page that are of the catalog's English, or look like an English sentence."""
    reader = _Texts()
    reader.feed(page)
    return [text for text in reader.texts if len(_ENGLISH.findall(text)) > 1 or _is_source(text)]


def _is_source(text: str) -> bool:
    return text in _sources or any(pattern.fullmatch(text) for pattern in _patterns)


def _read_sources() -> tuple[set[str], list[re.Pattern[str]]]:
    """Return the English texts with several words whose German differs: those without places, and patterns of the others."""
    path = Path(languages.__file__).parent / "locale" / "de" / "LC_MESSAGES" / "pages.po"
    whole, patterns = set[str](), list[re.Pattern[str]]()
    for message in read_po(BytesIO(path.read_bytes()), locale="de"):
        ids = message.id if isinstance(message.id, list | tuple) else (message.id,)
        for text in ids:
            words = re.findall(r"[A-Za-z]{2,}", re.sub(r"%\(\w+\)s", " ", text))
            if len(words) < 2 or text == message.string:
                continue
            if "%(" in text:
                patterns.append(re.compile(_PLACE.sub(".{1,200}", re.escape(text))))
            else:
                whole.add(text)
    return whole, patterns


_sources, _patterns = _read_sources()


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path, work=run) as api:
        yield api


async def _until(api: Api, path: str, count: int, **params: str) -> list[dict[str, str]]:
    for _ in range(600):
        found = await api.items(path, **params)
        if len(found) >= count:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"{path} has no {count} entries")


async def _fleet(api: Api) -> list[str]:
    """Let jobs fail, recover, stay unclear and be silenced, and return the pages of these."""
    failure = {"agent": "dateien01", "outcome": "failure", "message": "Platte voll"}
    for job in ("bilder", "texte", "musik"):
        await api.report({**failure, "key": f"{job}-1", "job": job})
    await api.report({"agent": "dateien01", "key": "u-1", "job": "filme", "outcome": "unclear", "message": "fertig?"})
    opened = await _until(api, "/v1/alerts", 4, state="open")
    ids = {one["job_id"]: one["id"] for one in opened}
    first, second, third, *_ = list(ids.values())
    await api.tell("POST", f"/v1/alerts/{first}:close", json={"reason": "nur ein Test"})
    await api.tell("POST", f"/v1/alerts/{second}:acknowledge", json={"name": "Kim"})
    await api.report({**failure, "key": "musik-2", "job": "musik", "outcome": "success", "message": "gut"})
    await _until(api, "/v1/alerts", 2, state="closed")
    await _until(api, "/v1/messages", 1)
    notices = [f"/proof/{one['id']}" for one in await api.items("/v1/notices")]
    messages = [f"/proof/{one['id']}" for one in await api.items("/v1/messages")]
    jobs = [f"/job/{one}" for one in ids]
    return [
        *jobs,
        *(f"/proof/{one}" for one in ids.values()),
        *notices[:4],
        *messages[:3],
        f"/proof/{third}?about=admin",
    ]


@pytest.mark.slow
async def test_no_page_in_german_has_an_english_sentence(api: Api) -> None:
    pages = [*_PAGES, *await _fleet(api)]
    async with browsing(api) as browser:
        browser.client.headers["accept-language"] = "de-DE,de;q=0.9,en;q=0.8"
        browser.client.headers["accept"] = "text/html,application/xhtml+xml"
        assert english_in((await browser.get("/sign-in")).text) == []
        path = await link_for(api, await person(api, "robin@example.org", Role.OWNER))
        await browser.send(path, path)
        pages += await _links(browser, "/routing?tab=routes", "/routing/routes/")
        pages += await _links(browser, "/routing?tab=recipients", "/routing/recipients/")
        found = {path: english for path in pages if (english := english_in((await browser.get(path)).text))}
    assert [f"{path}: {text}" for path, english in found.items() for text in english] == []


async def _links(browser: Browser, page: str, beginning: str) -> list[str]:
    text = (await browser.get(page)).text
    return list(dict.fromkeys(re.findall(rf'href="({beginning}[^"]*)"', text)))[:3]


def test_an_english_sentence_on_a_page_is_found() -> None:
    assert english_in("<p>The alert is of this job</p>") == ["The alert is of this job"]
    assert english_in('<p title="Nothing needs attention.">ok</p>') == ["Nothing needs attention."]
    assert english_in("<p>still open</p>") == ["still open"]
    assert english_in('<p lang="en">It is of the server</p><pre>it is of the tool</pre><p>Nichts zu tun</p>') == []
