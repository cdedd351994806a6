"""Sends one ping of the heartbeat to Healthchecks, Uptime Kuma or a service like Dead Man's Snitch.

The address is a secret: whoever has it can keep the check green. So no text that this module returns contains more than its host.
The owner sets it, so private addresses are allowed, as for mail servers.
"""

from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from app.core.heartbeat_url import HeartbeatKind, kind_of
from app.deliver.transports.http_exchange import PostAnswer, open_pool, post
from app.deliver.transports.public_only import NotPublic, PublicOnly, Unresolved

TIMEOUT_S = 10.0
_REASON_MOST = 500


async def send_heartbeat(url: str, wanted: HeartbeatKind, wrong: str | None) -> str | None:
    """Report that all is well, or what is wrong. Return None if the ping was accepted, or sends nothing by intent; else why not."""
    kind = kind_of(url, wanted)
    reason = " ".join((wrong or "OK").split())[:_REASON_MOST]
    parts = urlsplit(url)
    if kind == "uptime-kuma":
        state = "up" if wrong is None else "down"
        # What the address already has is replaced: Uptime Kuma shows it with `?status=up&msg=OK&ping=`.
        parts = parts._replace(query=f"status={state}&msg={quote(reason, safe='')}&ping=")
    elif wrong is not None and kind == "plain":
        return None  # the service alarms because no ping comes
    elif wrong is not None:
        parts = parts._replace(path=f"{parts.path.rstrip('/')}/fail")
    method = "POST" if kind == "healthchecks" else "GET"
    body = reason.encode() if method == "POST" else b""
    pool = open_pool(PublicOnly(is_allowed=lambda _: True), None)
    try:
        headers = {"user-agent": "tocsin", "content-type": "text/plain; charset=utf-8"}
        target = httpx.URL(urlunsplit(parts))
        answer = await post(pool, target, headers, body, timeout_s=TIMEOUT_S, method=method)
    except (NotPublic, Unresolved) as error:
        return f"{parts.hostname}: {error}"
    finally:
        await pool.aclose()
    if not isinstance(answer, PostAnswer):
        return f"{parts.hostname}: {answer.code}: {answer.text}"
    return None if 200 <= answer.status < 300 else f"{parts.hostname} answered with status {answer.status}"  # noqa: PLR2004
