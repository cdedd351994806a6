"""What a browser shows when something does not work: a page in the reader's language, while programs get their problem as before."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.errors import Unavailable
from app.domain.person import Role
from app.http.pages import messages
from tests.support.api import Api, serving
from tests.support.browser import Browser, browsing, link_for, person, token_in

_BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path) as api:
        yield api


async def _sign_in(api: Api, browser: Browser, role: Role = Role.OPERATOR) -> None:
    path = await link_for(api, await person(api, "robin@example.org", role))
    await browser.send(path, path)


@pytest.mark.parametrize(
    ("method", "path", "status", "english", "german"),
    [
        ("GET", "/job/job_1", 404, "There is no such page", "Diese Seite gibt es nicht"),
        ("GET", "/job/none", 404, "There is no such page", "Diese Seite gibt es nicht"),
        ("GET", "/people", 404, "There is no such page", "Diese Seite gibt es nicht"),
        ("GET", "/no/such/page", 404, "There is no such page", "Diese Seite gibt es nicht"),
        ("GET", "/alerts?order=best", 422, "A value is not valid", "Ein Wert ist nicht gültig"),
        ("GET", "/act/acknowledge", 405, "cannot be opened like this", "lässt sich diese Adresse nicht öffnen"),
        ("POST", "/act/acknowledge", 403, "This was not done", "Das wurde nicht ausgeführt"),
    ],
)
async def test_a_browser_gets_a_page_in_the_frame_and_in_its_language(
    api: Api, method: str, path: str, status: int, english: str, german: str
) -> None:
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        for language, words in (("en-GB", english), ("de-AT,de;q=0.9", german)):
            headers = {"accept": _BROWSER, "accept-language": language}
            page = await browser.client.request(method, path, headers=headers, data=None if method == "GET" else {})
            assert page.status_code == status, page.text[:300]
            assert page.headers["content-type"].startswith("text/html")
            assert words in page.text
            assert 'href="/alerts"' in page.text
            assert "default-src 'none'" in page.headers["content-security-policy"]
            assert page.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("path", "accept", "is_page"),
    [
        ("/v1/jobs", _BROWSER, False),
        ("/v1/nothing", _BROWSER, False),
        ("/readyz/x", _BROWSER, False),
        ("/jobs/none", "application/json", False),
        ("/jobs/none", "*/*", False),
        ("/jobs/none", _BROWSER, True),
        ("/api/nothing", _JAVA, False),
        ("/api/nothing", _BROWSER, True),
    ],
)
async def test_programs_get_their_problem(api: Api, path: str, accept: str, *, is_page: bool) -> None:
    async with browsing(api) as browser:
        answer = await browser.client.get(path, headers={"accept": accept})
        assert answer.status_code >= 400
        assert answer.headers["content-type"].startswith("text/html") == is_page, answer.text[:300]


async def test_who_is_not_signed_in_is_offered_that_and_no_frame(api: Api) -> None:
    async with browsing(api) as browser:
        page = await browser.get("/no/such/page", accept=_BROWSER)
        assert page.status_code == 404
        assert 'href="/sign-in"' in page.text
        assert 'href="/alerts"' not in page.text


async def test_a_form_that_is_too_large_is_refused_by_a_page(api: Api) -> None:
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        token = token_in(await browser.get("/alerts"))
        answer = await browser.client.post(
            "/act/acknowledge", data={"csrf": token, "comment": "x" * 300_000}, headers={"accept": _BROWSER}
        )
        assert answer.status_code == 413
        assert "The form is too large" in answer.text


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [(Unavailable("the database cannot be reached"), 503, "just now"), (RuntimeError("a secret"), 500, "went wrong")],
)
async def test_what_is_broken_on_our_side_is_a_page_that_offers_to_try_again(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, words: str
) -> None:
    async def fail(*_: object, **_named: object) -> None:
        raise error

    async with browsing(api) as browser:
        await _sign_in(api, browser)
        monkeypatch.setattr(messages, "page_messages", fail)
        page = await browser.get("/messages", accept=_BROWSER)
        assert page.status_code == status
        assert words in page.text
        assert "a secret" not in page.text
        assert ("For the log: req_" in page.text) == (status == 500)
        assert page.headers.get("retry-after") == ("5" if status == 503 else None)


async def test_the_text_of_a_refusal_is_german_on_a_german_page(api: Api) -> None:
    async with browsing(api) as browser:
        await _sign_in(api, browser, Role.OWNER)
        browser.client.headers["accept-language"] = "de"
        page = await browser.send("/account", "/account/password", password="short", again="short")
        assert "Ein Passwort muss mindestens" in page.text, page.text[:2000]
