"""Apply mail rules to events whose outcome was read from words: mails, and messages of Gotify, ntfy, Pushover, Zabbix and others. Pure."""

from collections.abc import Mapping, Sequence

from app.domain.event import READING, STATUS_FIELD, RunOutcome
from app.domain.mail_rule import MailRule, RuleMatch, ToolText, matching_rules
from app.intake.parse import WireEvent


def is_read_from_words(event: WireEvent) -> bool:
    """Return whether a dialect read the event's outcome from words, or its sender calls it unclear, and no rule decided on it yet."""
    extra = event.get("extra") or {}
    if event.get("outcome") == "unclear":
        return "mail_rule" not in extra
    reading = extra.get(READING)
    return isinstance(reading, Mapping) and reading.get("rule") != STATUS_FIELD and "mail_rule" not in extra


def decide_by_rules(events: Sequence[WireEvent], rules: Sequence[MailRule], tool: str) -> Sequence[WireEvent]:
    """Return the events of one request, with the first rule that applies to it used on each that was read from words."""
    if not rules or not any(map(is_read_from_words, events)):
        return events
    return [
        decide(event, matching_rules(rules, text_of(event, tool), outcome_read(event)))
        if is_read_from_words(event)
        else event
        for event in events
    ]


def decide(event: WireEvent, matches: Sequence[RuleMatch]) -> WireEvent:
    """Return an event changed by its rules; if two set the same field, the first counts. Fields that no rule sets stay as they were read."""
    decided: WireEvent = {**event}
    for match in reversed(matches):
        rule = match.rule
        extra = {**(decided.get("extra") or {}), "mail_rule": rule.id}
        if rule.outcome is not None:
            decided["outcome"], decided["phase"] = rule.outcome.value, "finished"
            extra[READING] = {"meaning": rule.outcome.value, "words": "", "rule": f"mail rule {rule.name or rule.id}"}
        if (job := rule.job_of(match.stars)) is not None:
            decided["job"] = job
        if (agent := rule.agent_of(match.stars)) is not None:
            decided["agent"] = agent
        if rule.activity is not None:
            decided["activity"] = rule.activity.value
        decided["extra"] = extra
    return decided


def outcome_read(event: WireEvent) -> RunOutcome | None:
    """Return the outcome that a dialect read for an event."""
    outcome = event.get("outcome")
    return None if outcome is None else RunOutcome(outcome)


def text_of(event: WireEvent, tool: str) -> ToolText:
    """Return the words of an event for rules: its message is the subject, its log the body."""
    sender = (event.get("labels") or {}).get("sender") or tool
    return ToolText(str(event.get("message") or ""), str(sender), str(event.get("log") or ""))
