"""A client of the running service's API, whose errors are one line instead of a stack trace."""

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


class ApiClient:
    """Sends requests with an administrator's key, or with another one."""

    def __init__(self, client: httpx.Client, admin_key: str) -> None:
        self._client = client
        self._admin_key = admin_key

    def call(self, method: str, path: str, *, key: str | None = None, **more: Any) -> Any:  # noqa: ANN401  (any document)
        """Send a request and return the JSON of the answer. Raises TocsinError with the `detail` of the service."""
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
            try:
                detail = answer.json()["detail"]
            except (ValueError, KeyError, TypeError):
                detail = answer.reason_phrase
            raise TocsinError(f"{method} {path}: {answer.status_code} {detail}")
        return answer.json() if answer.content else None

    def items(self, path: str, **filters: str) -> list[dict[str, Any]]:
        """Return all items of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.call("GET", path, params={"limit": "200", **filters, **cursor})
            found += page["items"]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}


@contextmanager
def connect(url: str, admin_key: str) -> Iterator[ApiClient]:
    """Open a client of the service at this URL."""
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as client:
        yield ApiClient(client, admin_key)


def wait_for(what: str, look: Callable[[], T | None], patience_s: float = _PATIENCE_S) -> T:
    """Call `look` until it returns something. Raises TocsinError after `patience_s` seconds."""
    end = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise TocsinError(f"{what} did not appear within {patience_s:g} s; `tocsin doctor` may show the reason")
        time.sleep(_POLL_S)
