"""ntfy's messages: a title, a text, tags and a priority, in headers, in the query, or as JSON. Source: https://docs.ntfy.sh/publish/.

A topic is an address and not a job, but where the key stands for none it names one. Tags tell where the words do not.
"""

from collections.abc import Mapping, Sequence

from app.intake.dialects import backrest
from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import told
from app.intake.dialects.proxmox_words import Bulletin, events_of, is_proxmox
from app.intake.dialects.text import header_text, header_words
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.words import begins_in, outcome_in
from app.intake.parse import WireEvent

TOOL = "ntfy"
# Each field by every name that ntfy takes, in headers (small) and in the query.
_NAMES = {
    "title": ("x-title", "title", "ti", "t"),
    "message": ("x-message", "message", "m"),
    "priority": ("x-priority", "priority", "prio", "p"),
    "tags": ("x-tags", "tags", "tag", "ta"),
}
_GOOD = frozenset({"heavy_check_mark", "white_check_mark", "ballot_box_with_check", "+1", "tada", "partying_face", "success", "ok"})  # fmt: skip
_ODD = frozenset({"warning", "heavy_exclamation_mark"})
_BAD = frozenset({"x", "rotating_light", "skull", "no_entry", "no_entry_sign", "-1", "fire", "sos", "error", "failure", "failed",
                  "triangular_flag_on_post", "negative_squared_cross_mark"})  # fmt: skip
_SEVERITIES = {"4": "error", "high": "error", "5": "critical", "max": "critical", "urgent": "critical"}
_ENDINGS = ("publish", "send", "trigger")
_WORDS_MOST = 1000


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one message. `path` is what stands behind the server: [topic,] [publish]. Raises NotUnderstood for an empty one."""
    given = _fields(said)
    title, text = given["title"].strip(), given["message"].strip()
    if not title and not text:
        raise NotUnderstood("a message without title and text")
    if is_proxmox(title):  # by a webhook of Proxmox with ntfy's headers
        host = said.asked("agent") or ""
        return events_of(Bulletin(title, text, host=host, job=said.job or said.asked("job")))
    if backrest.is_backrest(text):
        return [backrest.of_text(text, said)]
    tags = {tag.strip().lower() for tag in given["tags"].split(",")}
    outcome = outcome_in(title[:_WORDS_MOST]) or _by_tags(tags)
    by_text = outcome_in(text[:_WORDS_MOST])
    # A text that also tells of a trouble is no start: the trouble is what must be heard.
    begins = outcome is None and by_text in (None, "success") and begins_in(f"{title}\n{text}"[:_WORDS_MOST])
    if outcome is None and not begins:
        outcome = by_text
    return [
        told(
            TOOL,
            agent=said.asked("agent"),
            job=said.job or said.asked("job") or given["topic"] or TOOL,
            phase="started" if begins else "finished" if outcome else None,
            outcome=outcome,
            severity=None if outcome or begins else _SEVERITIES.get(given["priority"].strip().lower()),
            message=title or text.partition("\n")[0],
            log=text or None,
        )
    ]


def _by_tags(tags: set[str]) -> str | None:
    """Give the outcome that the tags name, the worst first."""
    return next((outcome for known, outcome in ((_BAD, "failure"), (_ODD, "warning"), (_GOOD, "success")) if known & tags), None)  # fmt: skip


def _fields(said: ToolRequest) -> Mapping[str, str]:
    topic = next((part for part in said.path if part not in _ENDINGS), "")
    found = object_of(said) if not topic else {}
    if found:
        tags = found.get("tags")
        listed = ",".join(str(tag) for tag in tags) if isinstance(tags, list) else text_in(tags)
        given = {name: text_in(found.get(name)) or "" for name in ("title", "message", "priority", "topic")}
        return {**given, "tags": listed or ""}
    given = {name: _param(said, names) for name, names in _NAMES.items()}
    return {**given, "message": said.words or given["message"].replace("\\n", "\n"), "topic": topic}


def _param(said: ToolRequest, names: Sequence[str]) -> str:
    """Give a field from the headers, else from the query; a header's bytes are UTF-8, whatever HTTP says of them, or packed as in a mail."""
    for name in names:
        if value := said.headers.get(name):
            return header_words(header_text(value))
    return next((value for name, value in said.query if name.lower() in names and value), "")
