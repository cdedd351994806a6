"""Parses `TOCSIN_HEARTBEAT_URL`, the address that is pinged while all is well. It must never repeat the URL, which is a secret."""

import re
from typing import Literal
from urllib.parse import urlsplit

from app.core.errors import BadSettings

HeartbeatKind = Literal["auto", "healthchecks", "uptime-kuma", "plain"]
_NAME = "TOCSIN_HEARTBEAT_URL"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_PRINTABLE = re.compile(r"[!-~]+")


def check_heartbeat_url(text: str | None) -> None:
    """Check the address. Raises BadSettings, which does not repeat it."""
    if text is None:
        return
    try:
        url = urlsplit(text)
        is_fit = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and not url.fragment
    except ValueError:
        is_fit = False
    if not is_fit or "@" in url.netloc or not _PRINTABLE.fullmatch(text):
        raise BadSettings(f"{_NAME}: must look like https://hc-ping.com/<id>, without user, password and spaces")


def kind_of(text: str, kind: HeartbeatKind) -> HeartbeatKind:
    """Return what kind of service the address belongs to: the one that is set, or what the address shows."""
    if kind != "auto":
        return kind
    path = urlsplit(text).path.rstrip("/")
    if "/api/push/" in path:
        return "uptime-kuma"
    if "/ping/" in path or _UUID.fullmatch(path.rpartition("/")[2]) or urlsplit(text).hostname == "hc-ping.com":
        return "healthchecks"
    return "plain"
