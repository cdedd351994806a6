"""The running service as a program of an administrator sees it: over HTTP, with words instead of stack traces."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from app.core.errors import TocsinError

_TIMEOUT_S = 30
_POLL_S = 0.3
_PATIENCE_S = 30
T = TypeVar("T")


class Service:
    """Asks with an administrator's key, or with the one given."""

    def __init__(self, client: httpx.Client, admin_key: str) -> None:
        self._client = client
        self._admin_key = admin_key

    def call(self, method: str, path: str, *, key: str | None = None, **more: Any) -> Any:  # noqa: ANN401  (any document)
        """Ask, and give the answer's document. Raises TocsinError with the service's own words."""
        try:
            answer = self._client.request(
                method, path, headers={"Authorization": f"Bearer {key or self._admin_key}"}, **more
            )
        except httpx.HTTPError as cause:
            where = self._client.base_url
            raise TocsinError(
                f"no service answers at {where} ({cause}); start it with `make run` or `tocsin serve`"
            ) from cause
        if answer.is_error:
            raise TocsinError(f"{method} {path}: {answer.status_code} {_words(answer)}")
        return answer.json() if answer.content else None

    def items(self, path: str, **asked: str) -> list[dict[str, Any]]:
        """Give every item of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.call("GET", path, params={"limit": "200", **asked, **cursor})
            found += page["items"]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}


@contextmanager
def reach(url: str, admin_key: str) -> Iterator[Service]:
    """Reach the service at this address."""
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as client:
        yield Service(client, admin_key)


def wait_for(what: str, look: Callable[[], T | None], patience_s: float = _PATIENCE_S) -> T:
    """Look again and again until there is something. Raises TocsinError when patience ends."""
    end = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise TocsinError(f"{what} did not come within {patience_s:g} s; `tocsin doctor` may know why")
        time.sleep(_POLL_S)


def _words(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
