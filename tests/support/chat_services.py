"""A local server in the place of Slack, Teams and Discord: it has their names, checks each request by what they publish, and answers as they do."""

import json
import random
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema_rs

_TEXT = {"type": "string"}
# https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and /reference/messaging/attachments
SLACK = {
    "type": "object",
    "anyOf": [{"required": ["text"]}, {"required": ["attachments"]}, {"required": ["blocks"]}],
    "properties": {
        "text": {"type": "string", "maxLength": 40_000},
        "username": _TEXT,
        "channel": {"type": "string", "pattern": "^[#@]"},
        "icon_url": _TEXT,
        "icon_emoji": _TEXT,
        "mrkdwn": {"type": "boolean"},
        "attachments": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["text"],
                "properties": {
                    "title": _TEXT,
                    "text": {"type": "string", "minLength": 1},
                    "fallback": _TEXT,
                    "color": {"type": "string", "pattern": "^(good|warning|danger|#[0-9A-Fa-f]{6})$"},
                    "footer": {"type": "string", "maxLength": 300},
                    "footer_icon": _TEXT,
                    "ts": {"type": "number"},
                    "mrkdwn_in": {"type": "array", "items": {"enum": ["pretext", "text", "fields"]}},
                },
            },
        },
    },
}
# https://docs.discord.com/developers/resources/webhook#execute-webhook
DISCORD = {
    "type": "object",
    "anyOf": [{"required": ["content"]}, {"required": ["embeds"]}],
    "properties": {
        "content": {"type": "string", "minLength": 1, "maxLength": 2000},
        "username": {"type": "string", "minLength": 1, "maxLength": 80},
        "avatar_url": {"type": "string", "format": "uri"},
        "tts": {"type": "boolean"},
        "wait": {"type": "boolean"},
        "flags": {"type": "integer"},
        "allowed_mentions": {"type": "object"},
        "embeds": {"type": "array", "maxItems": 10},
    },
    "additionalProperties": False,
}
# "Create incoming webhooks with Workflows for Microsoft Teams", and the schema of Adaptive Cards 1.4
TEAMS = {
    "type": "object",
    "required": ["type", "attachments"],
    "properties": {
        "type": {"const": "message"},
        "attachments": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["contentType", "content"],
                "properties": {
                    "contentType": {"const": "application/vnd.microsoft.card.adaptive"},
                    "content": {
                        "type": "object",
                        "required": ["type", "version", "body"],
                        "properties": {
                            "type": {"const": "AdaptiveCard"},
                            "version": {"pattern": r"^1\.[0-5]$"},
                            "body": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "object",
                                    "required": ["type"],
                                    "properties": {"type": {"enum": ["TextBlock", "Image", "RichTextBlock"]}},
                                    "if": {"properties": {"type": {"const": "TextBlock"}}},
                                    "then": {"required": ["text"], "properties": {"text": _TEXT}},
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class ChatService:
    """A service: its host, the URL of a channel as Apprise reads it, the path that a request must have, and the answer to a good one."""

    host: str
    url: str
    path: str
    schema: dict[str, Any]
    answer: tuple[int, str, str]  # status, type, text


SERVICES = {
    "slack": ChatService(
        "hooks.slack.com",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#backups",
        "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        SLACK,
        (200, "text/html", "ok"),
    ),
    "discord": ChatService(
        "discord.com",
        "https://discord.com/api/webhooks/417421629812345678/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "/api/webhooks/417421629812345678/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        DISCORD,
        (200, "application/json", '{"id": "1"}'),
    ),
    "teams": ChatService(
        "prod-01.westus.logic.azure.com",
        "workflows://prod-01.westus.logic.azure.com/7a5b9d1e2f/AbCdEfGhSignature",
        "/workflows/7a5b9d1e2f/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=AbCdEfGhSignature",
        TEAMS,
        (202, "application/json", ""),
    ),
}


@dataclass(slots=True)
class ChatServices:
    """Where they are, and what they took: the name of a service and the text of a body. `refused`: why they answered with 400."""

    address: str
    got: list[tuple[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@contextmanager
def chat_services(certificate: Path) -> Iterator[ChatServices]:
    """Serve HTTPS on port 443 of an address of this host's own network, 127.0.0.0/8. `certificate`: PEM with its key."""
    kept = ChatServices(f"127.{random.randrange(2, 250)}.{random.randrange(250)}.{random.randrange(2, 250)}")
    by_host = {service.host: (name, service) for name, service in SERVICES.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            name, service = by_host[self.headers["host"].partition(":")[0]]
            try:
                assert self.path == service.path, self.path
                assert self.headers["content-type"].startswith("application/json"), self.headers["content-type"]
                jsonschema_rs.validate(service.schema, json.loads(body), validate_formats=True)
            except (AssertionError, ValueError, jsonschema_rs.ValidationError) as cause:
                kept.refused.append(f"{name}: {cause} {body}")
                return self._answer(400, "text/plain", "invalid_payload")
            kept.got.append((name, body))
            return self._answer(*service.answer)

        def _answer(self, status: int, kind: str, text: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server = ThreadingHTTPServer((kept.address, 443), Handler)
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
