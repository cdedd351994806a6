"""Keeps the newest rendering of Now for those who would see the same: when something happens, 50 open pages are read again at once.

Rendered pages differ in two things only, the token of forms and the name in the head. A page is rendered with marks in their place.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from fastapi.responses import HTMLResponse
from markupsafe import escape

from app.compose.phrases import one_line
from app.http.pages.session import SignedIn

_KEPT_S, _MOST = 2.0, 50
_NAME_MOST = 40  # characters of a name that the head shows


@dataclass(frozen=True, slots=True)
class _Kept:
    html: str
    headers: dict[str, str]
    at: float


class KeptPages:
    """Rendered pages, each for two seconds. One request renders, and the others that want the same wait for it."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], _Kept] = {}
        self._lock = asyncio.Lock()
        self._csrf, self._name = secrets.token_hex(32), f"name-{secrets.token_hex(8)}"

    async def page(
        self, key: tuple[object, ...], who: SignedIn, render: Callable[[SignedIn], Awaitable[HTMLResponse]]
    ) -> HTMLResponse:
        """Return the page for somebody. `key`: all that it depends on, but for the person's name and token."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            kept = self._kept.get(key)
            if kept is None or now - kept.at >= _KEPT_S:
                marked = replace(who, csrf=self._csrf, person=replace(who.person, name=self._name))
                made = await render(marked)
                headers = {name: made.headers[name] for name in ("content-security-policy", "vary")}
                kept = _Kept(bytes(made.body).decode(), headers, now)
                self._kept = {old: one for old, one in self._kept.items() if now - one.at < _KEPT_S}
                if len(self._kept) < _MOST:
                    self._kept[key] = kept
        own = kept.html.replace(self._csrf, who.csrf).replace(self._name, str(escape(one_line(who.name, _NAME_MOST))))
        return HTMLResponse(own, headers=kept.headers)

    def forget(self) -> None:
        """Render again at the next request: somebody changed something and looks at what became of it."""
        self._kept.clear()
