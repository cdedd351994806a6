"""POSTs the requests of transports to programs, without redirects and proxies, and reads what the answers mean.

2xx is Sent; 408, 425, 429 and 5xx are Temporary; every other status is Permanent, including redirects. Without a response, the
outcome is Temporary until the request was written completely, and Unknown after that.
"""

import asyncio
import html
import ipaddress
import json
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote
from xml.sax.saxutils import escape

import httpcore

from app.core.clock import Clock, now
from app.core.hidden_modules import hidden
from app.core.loading import load_in_turn
from app.deliver.transport import cancelled_is_unsent
from app.deliver.transports.evidence import LIMIT, evidence
from app.deliver.transports.http_exchange import PostAnswer, open_pool, post, retry_after
from app.deliver.transports.public_only import IpAddress, NotPublic, Unresolved, is_public
from app.domain.attempt import Outcome, Permanent, Sent, Temporary
from app.domain.recipient import hidden_parts, shown_address
from app.domain.transport_options import is_secret_header

if TYPE_CHECKING:
    import httpx

_MAX_REQUESTS = 100
_SERVER_FAULT = 5
_NOT_SHOWN = "its answer is not shown, because it came from a private address"
_WORTH_A_RETRY = (408, 425, 429)  # RFC 9110 section 15.5.9, RFC 8470, RFC 6585
_OUR_LOGIN = (401, 403, 407)
_SHORTEST_SECRET, _SHORTEST_CUT = 6, 4
MASK = "***"


@dataclass(frozen=True, slots=True)
class ProgramRequest:
    """One POST request. `secret_headers`: the names, in small letters, of headers that a preview does not show.

    `more_secrets`: those in the body, or that a header has in another form.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secret_headers: Collection[str] = ()
    more_secrets: Collection[str] = field(default=(), repr=False)

    @property
    def secrets(self) -> list[str]:
        """The parts of it that can be a secret. Short ones are left out: they are in many words."""
        own = [text for name, text in self.headers.items() if name in self.secret_headers or is_secret_header(name)]
        values = [*own, *(text.split(" ", 1)[1] for text in own if " " in text), *self.more_secrets]
        return [*(text for text in values if len(text) >= _SHORTEST_SECRET), *hidden_parts(self.url)]

    def shown(self) -> str:
        """Return the request as text, with secrets masked."""
        lines = [f"{name}: {MASK if name in self.secret_headers else value}" for name, value in self.headers.items()]
        return "\n".join([f"POST {self.url}", *lines, "", self.body.decode("utf-8", "replace")])


class HttpCaller:
    """POSTs requests. `timeout_s` limits the whole exchange, from name resolution to the start of the response."""

    def __init__(
        self,
        timeout_s: float,
        *,
        network: httpcore.AsyncNetworkBackend | None,
        tls: ssl.SSLContext | None = None,
        clock: Clock = now,
        is_shown: Callable[[IpAddress], bool] = is_public,
    ) -> None:
        """Create it with `network` = PublicOnly(), or None to also reach private addresses.

        The answer's text is kept only if it came from an address that `is_shown`: whoever may set a URL could otherwise read what
        services of the internal network say.
        """
        self._timeout_s = timeout_s
        self._clock = clock
        self._is_shown = is_shown
        self._slots = asyncio.Semaphore(_MAX_REQUESTS)
        self._pool = open_pool(network, tls)

    async def call(self, request: ProgramRequest) -> Outcome:
        """POST one request and return what its answer means."""
        answer = await self.answer_of(request)
        return self.judge(answer) if isinstance(answer, PostAnswer) else answer

    async def answer_of(self, request: ProgramRequest) -> PostAnswer | Outcome:
        """POST one request and return its answer, for programs whose answer's body decides; without an answer, the outcome."""
        if not _load_httpx.cache_info().currsize:
            with cancelled_is_unsent():
                await load_in_turn(_load_httpx)
        url = _read_url(request.url)
        if isinstance(url, Permanent):
            return url
        try:
            async with self._slots:
                answer = await post(self._pool, url, request.headers, request.body, timeout_s=self._timeout_s)
            return replace(answer, secrets=request.secrets) if isinstance(answer, PostAnswer) else answer
        except NotPublic as cause:
            return Permanent("address", evidence(str(cause)))
        except Unresolved as cause:
            return Temporary("resolve", evidence(str(cause)))

    async def call_with_login(self, request: ProgramRequest) -> Outcome:
        """Do the same for a program at which we log in: a refused login is a fault of our settings, and somebody must mend it."""
        outcome = await self.call(request)
        if isinstance(outcome, Permanent) and outcome.code in map(str, _OUR_LOGIN):
            return Temporary(outcome.code, outcome.text, is_hopeless_here=True)
        return outcome

    async def close(self) -> None:
        """Close pooled connections."""
        await self._pool.aclose()

    def judge(self, answer: PostAnswer) -> Outcome:
        """Return what an answer means by its status."""
        is_shown = _is_from(answer.sender, self._is_shown)
        code, words = str(answer.status), _evidence(answer) if is_shown or not answer.body else _NOT_SHOWN
        if answer.status in _WORTH_A_RETRY or answer.status // 100 == _SERVER_FAULT:
            return Temporary(code, words, retry_after(answer.headers.get("retry-after", ""), self._clock()))
        match answer.status // 100:
            case 2:
                return Sent(code, words)
            case 3:
                target = f"an address; {_NOT_SHOWN}"
                if is_shown:  # the host only: the path is mostly that of our request
                    target = answer.headers.get("location", "nothing")
                    is_elsewhere = "://" in target or target == "nothing"
                    target = shown_address(target) if is_elsewhere else "another path of the same host"
                return Permanent(code, evidence("redirects are not followed; this one points to " + target))
            case _:
                return Permanent(code, words)


def joined(outcomes: Mapping[str, Outcome]) -> Outcome:
    """Return one outcome of several requests of a message, by what each is about: sent only if all were.

    A failure of one does not keep the others from being sent. They are sent again with it, which changes nothing at the other side.
    Whatever is worth another attempt comes first: what is refused for good is reported once nothing else is left to do.
    """
    by_kind: dict[type[Outcome], list[tuple[str, Outcome]]] = {}
    for about, outcome in outcomes.items():
        by_kind.setdefault(type(outcome), []).append((about, outcome))
    for kind in (Temporary, *(k for k in by_kind if k not in (Temporary, Permanent, Sent)), Permanent):
        if kind in by_kind:
            failed = by_kind[kind]
            about, first = failed[0]
            if len(outcomes) == 1:
                return first
            return replace(first, text=f"{len(failed)} of {len(outcomes)} failed; {about}: {first.text}")
    return next(iter(outcomes.values()))


def _evidence(answer: PostAnswer) -> str:
    words = evidence(answer.body)
    written = {form for one in answer.secrets for form in _forms(one)}
    read = {unquote(one) for one in answer.secrets}  # as a server reads what an address contains
    secrets = sorted(written | {one for one in read if len(one) >= _SHORTEST_SECRET}, key=len, reverse=True)
    for secret in secrets:
        words = words.replace(secret, MASK)
    return words if len(answer.body) < LIMIT else _without_cut_secret(words, secrets)


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms in which a server repeats a secret: as it is, and as it is written in forms, paths, XML and JSON."""
    yield from (secret, quote_plus(secret), quote(secret), escape(secret), html.escape(secret))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])


def _without_cut_secret(words: str, secrets: Collection[str]) -> str:
    """Mask the beginning of a secret at the end of a text that was cut there, perhaps within a character."""
    words = words.rstrip("\ufffd")
    for secret in secrets:
        for length in range(len(secret) - 1, _SHORTEST_CUT - 1, -1):
            if words.endswith(secret[:length]):
                return words[:-length] + MASK
    return words


def _is_from(sender: str, is_shown: Callable[[IpAddress], bool]) -> bool:
    try:
        return is_shown(ipaddress.ip_address(sender))
    except ValueError:
        return False


@cache
def _load_httpx() -> Any:  # noqa: ANN401  (a module)
    """Return httpx, of which only the reading of addresses is used. It is loaded for the first request: it takes 4 MiB."""
    with hidden("click"):  # its command line needs it
        import httpx  # noqa: PLC0415

    return httpx


def _read_url(address: str) -> "httpx.URL | Permanent":
    library = _load_httpx()
    try:
        url: httpx.URL = library.URL(address)
    except (library.InvalidURL, ValueError):
        return Permanent("address", "is not a URL")
    if url.scheme not in ("http", "https") or not url.host:
        return Permanent("address", "only http and https URLs are called")
    if url.userinfo:
        return Permanent("address", "a URL with a user or password is not called, because it would appear in logs")
    return url
