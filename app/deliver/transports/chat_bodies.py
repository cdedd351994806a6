"""Makes the JSON that chat services take of the document of a message: a short text with marks, and one link. Pure.

No value of an event is read as markup: texts are plain where a service has plain texts, and escaped elsewhere. So a message of a backup
tool can mention nobody and make no link.
"""

import html
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_MOST_ALERTS, _LONGEST_LINE = 10, 300
_MARKS = {"opened": "\N{LARGE RED CIRCLE}", "repeated": "\N{CLOCKWISE RIGHTWARDS AND LEFTWARDS OPEN CIRCLE ARROWS}"}
_MARKS |= {"acknowledged": "\N{EYES}", "recovered": "\N{WHITE HEAVY CHECK MARK}"}
_DISCORD_MARKUP = re.compile(r"([\\*_~`|>\[\]()#\-:<@/.])")


def chat_text(document: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return a short text and the address that it links to, of the document of any type."""
    data = document["data"]
    alerts = data.get("alerts")
    if not isinstance(alerts, list):
        return str(data.get("subject", "Test from Tocsin: alerts reach you here")), data.get("url")
    lines = [_line(alert) for alert in alerts[:_MOST_ALERTS]]
    if (more := len(alerts) - len(lines) + int(data.get("more", 0))) > 0:
        lines.append(f"and {more} more")
    return "\n".join(lines), alerts[0]["url"] if alerts else None


def _line(alert: Mapping[str, Any]) -> str:
    about = " ".join(str(alert[name]) for name in ("agent", "job") if alert.get(name))
    words = str(alert.get("closed_reason") or "") if alert["what"] == "recovered" else str(alert.get("message") or "")
    text = f"{_MARKS.get(alert['what'], '')} {alert['customer']}: {about}: {alert['what']}, {alert['trouble']}"
    text = " ".join(f"{text}. {words}".split())
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _slack(text: str, link: str | None) -> object:
    plain = {"type": "plain_text", "text": text, "emoji": False}
    blocks: list[object] = [{"type": "section", "text": plain}]
    if link:
        button = {"type": "button", "text": {"type": "plain_text", "text": "Open in Tocsin"}, "url": link}
        blocks.append({"type": "actions", "elements": [button]})
    # `text` is shown in notifications of the system; in it these three characters begin all markup.
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": shown, "blocks": blocks}


def _teams(text: str, link: str | None) -> object:
    # RichTextBlock, because a TextBlock reads Markdown.
    inlines = [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]} for line in text.split("\n")]
    card: dict[str, object] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": inlines,
    }
    if link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open in Tocsin", "url": link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _discord(text: str, link: str | None) -> object:
    embed: dict[str, object] = {"title": "Tocsin", "description": _DISCORD_MARKUP.sub(r"\\\1", text)[:4096]}
    return {"embeds": [embed | ({"url": link} if link else {})], "allowed_mentions": {"parse": []}}


def _google_chat(text: str, link: str | None) -> object:
    shown = html.escape(text, quote=False).replace("\n", "<br>")
    widgets: list[object] = [{"textParagraph": {"text": shown}}]
    if link:
        widgets.append(
            {"buttonList": {"buttons": [{"text": "Open in Tocsin", "onClick": {"openLink": {"url": link}}}]}}
        )
    return {"cardsV2": [{"cardId": "tocsin", "card": {"sections": [{"widgets": widgets}]}}]}


_SERVICES: Mapping[str, Callable[[str, str | None], object]] = {
    "slack": _slack,
    "teams": _teams,
    "discord": _discord,
    "google_chat": _google_chat,
}


def chat_body(service: str, document: Mapping[str, Any]) -> bytes:
    """Return the body for one of the services: slack, teams, discord or google_chat."""
    text, link = chat_text(document)
    return json.dumps(_SERVICES[service](text, link), ensure_ascii=False, separators=(",", ":")).encode()


def cloud_event(document: Mapping[str, Any], event_id: str) -> bytes:
    """Return the document as a structured CloudEvent 1.0; `data` stays as it is."""
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/tocsin",
        "type": f"tocsin.{document['type']}",
        "time": document["timestamp"],
        "datacontenttype": "application/json",
        "data": document["data"],
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
