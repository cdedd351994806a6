"""Reads the recorded and composed requests of tests/corpus/requests and sends them byte for byte. It judges no answer.

A file is `# key: value` lines, the request as it goes over the wire, and its body. `{{NAME}}` stands for what a run fills in.
"""

import gzip
import http.client
import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from tests.support.sources import ROOT

FOLDER = ROOT / "tests/corpus/requests"
TIMEOUT_S = 20
_HOLE = re.compile(rb"\{\{([A-Z0-9]+?)([+-]\d+)?\}\}")
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Recording:
    """One request as the corpus has it. `family` is the address that it goes to, by which tables are cut."""

    id: str
    meta: Mapping[str, str]
    head: bytes
    body: bytes

    @property
    def family(self) -> str:
        """Name the family: what the placeholder in the address stands for, or the subject of the id."""
        if self.id.startswith("wire-"):
            return "wire"
        found = re.match(rb"[A-Z]+ \{\{([A-Z]+)\}\}", self.head)
        return _FAMILIES[found[1].decode()] if found else "sentry"

    @property
    def times(self) -> int:
        """Say how often it is sent."""
        return int(self.meta.get("repeat", "1"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `status` None if the connection was closed without an answer."""

    status: int | None
    body: bytes = b""


_FAMILIES = {
    "HC": "healthchecks",
    "UK": "uptime-kuma",
    "EVENTS": "native",
    "CE": "cloudevents",
    "PVE": "proxmox",
    **{
        name.upper(): name
        for name in (
            "alertmanager", "apprise", "backrest", "borg", "cronhub", "cronitor", "duplicati", "gotify", "kopia", "loki", "ntfy",
            "pagerduty", "pushover", "restic", "resticprofile", "zabbix",
        )
    },
}  # fmt: skip
FAMILIES = sorted({*_FAMILIES.values(), "sentry", "wire"})


def recordings(family: str | None = None) -> list[Recording]:
    """Give all requests, or those of one family, by id."""
    found = [_opened(path.stem, path.read_bytes()) for path in sorted(FOLDER.glob("*.http"))]
    return [one for one in found if family in (None, one.family)]


def _opened(name: str, data: bytes) -> Recording:
    meta = {}
    while data.startswith(b"# "):
        line, _, data = data.partition(b"\n")
        key, _, value = line[2:].decode().partition(":")
        meta[key.strip()] = value.strip()
    head, gap, body = data.partition(b"\r\n\r\n")
    return Recording(name, meta, head + gap, body)


def fill(recording: Recording, values: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Give head and body as they are sent. `values` holds the Unix time of `UNIX`, from which the other times are reckoned."""
    body = _made(recording)
    if recording.meta.get("body-placeholders") == "yes":
        body = _filled(body, values)
    head = _filled(recording.head, {**values, "LEN": str(len(body))})
    is_chunked = re.search(rb"(?mi)^transfer-encoding:\s*chunked", head) is not None
    if is_chunked and recording.meta.get("wire") != "raw":
        pieces = [body[place : place + _CHUNK] for place in range(0, len(body), _CHUNK)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    return head, body


def _made(recording: Recording) -> bytes:
    """Give the body: large ones are made by a recipe of one line."""
    recipe, _, rest = recording.meta.get("body-gen", "").partition(" ")
    if recipe == "repeat":
        count, _, text = rest.partition(" ")
        return text.encode().replace(b"\\n", b"\n") * int(count)
    return gzip.compress(bytes(int(rest)), mtime=0) if recipe == "gzip-zeros" else recording.body


def _filled(text: bytes, values: Mapping[str, str]) -> bytes:
    def one(hole: re.Match[bytes]) -> bytes:
        name, shift = hole[1].decode(), int(hole[2] or 0)
        match name:
            case "UUID":
                return str(uuid.uuid4()).encode()
            case "NOW":
                return datetime.fromtimestamp(int(values["UNIX"]) + shift, UTC).isoformat().encode()
            case "UNIX":
                return str(int(values["UNIX"]) + shift).encode()
        return values[name].encode() if name in values else hole[0]

    return _HOLE.sub(one, text)


def send(url: str, head: bytes, body: bytes) -> Answer:
    """Send over a connection of its own, as bytes. Raises TimeoutError if nothing comes back: no request may hang."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), TIMEOUT_S) as line:
        try:
            line.sendall(head)
            if re.search(rb"(?mi)^expect:\s*100-continue", head):
                line.recv(_CHUNK)
            line.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before it heard all
        answer = http.client.HTTPResponse(line, method=head.split(b" ", 1)[0].decode())
        try:
            answer.begin()
            return Answer(answer.status, answer.read(65536))
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException):
            return Answer(None)
        finally:
            answer.close()
