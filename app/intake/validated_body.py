"""Validate all events of a body: the rows to store, and what is refused. Pure, except that it draws ids.

It needs nothing of the process that serves requests, so that a large body can be parsed and validated in a process that reads reports.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.core.errors import BadInput
from app.domain.enrolment import EnrolmentRefusal
from app.domain.mail_rule import MailRule
from app.intake.body import RequestBody
from app.intake.budgets import LOG_KEPT, BudgetRefusal
from app.intake.clocks import move_back_leads
from app.intake.parse import EventRejection, ParsedBody, parse_events
from app.intake.reading_child import Pieces
from app.intake.rule_events import decide_by_rules
from app.intake.sanitize import truncate_middle
from app.intake.validate import Sender, resolve_agent_name, validate_event
from app.store.intake import NewEvent

# Larger bodies, and those with more objects, are not parsed between the requests of others: 16 MiB took 0.3 to 2.4 s.
BYTES_AT_ONCE, OBJECTS_AT_ONCE = 256 * 1024, 500
# Events of a body that are stored in one transaction: more would hold the event loop, and the writer of the database, for too long.
EVENTS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What the settings allow of one body."""

    events: int
    event_size: int
    log_size: int


@dataclass(slots=True)
class ValidatedBody:
    """The rows of a body's events, and what is refused of it. Rows under an enrolment key have no agent id yet."""

    events: list[NewEvent]
    indexes: list[int]  # of each event in the body
    unknown: dict[int, str]  # index in `events` -> name of an agent without an id yet
    rejected: list[EventRejection]  # for its data, or beyond a budget
    agents: list[str]  # the name of each event's agent
    not_let_in: dict[int, EnrolmentRefusal] = field(
        default_factory=dict
    )  # index in the body -> why its agent is refused
    refused_agents: dict[int, str] = field(default_factory=dict)  # index in the body -> the agent of a refused event

    def cut(self, size: int) -> Iterator["ValidatedBody"]:
        """Yield the events in parts of so many of the body, with what is refused of them."""
        parts: dict[int, ValidatedBody] = {}

        def part_of(index: int) -> ValidatedBody:
            return parts.setdefault(index // size, ValidatedBody([], [], {}, [], []))

        for place, (event, index, agent) in enumerate(zip(self.events, self.indexes, self.agents, strict=True)):
            part = part_of(index)
            if place in self.unknown:
                part.unknown[len(part.events)] = self.unknown[place]
            part.events.append(event)
            part.indexes.append(index)
            part.agents.append(agent)
        for one in self.rejected:
            part_of(one.index).rejected.append(one)
        for index, refusal in self.not_let_in.items():
            part_of(index).not_let_in[index] = refusal
        for index, agent in self.refused_agents.items():
            part_of(index).refused_agents[index] = agent
        yield from (parts[number] for number in sorted(parts))

    def refuse(self, refusal: BudgetRefusal) -> None:
        """Move the refused events to the rejected ones, and cut the logs of the others where the bytes of the day are used up."""
        answer = refusal.answer
        if answer is not None:
            kept = [index for index in range(len(self.events)) if index not in refusal.indexes]
            self.rejected += [
                EventRejection(self.indexes[index], answer.code, answer.detail) for index in sorted(refusal.indexes)
            ]
            self.refused_agents |= {self.indexes[index]: self.agents[index] for index in refusal.indexes}
            self.rejected.sort(key=lambda event: event.index)
            self.unknown = {place: self.unknown[index] for place, index in enumerate(kept) if index in self.unknown}
            self.events = [self.events[index] for index in kept]
            self.indexes = [self.indexes[index] for index in kept]
            self.agents = [self.agents[index] for index in kept]
        if refusal.cuts_logs:
            self.events = [
                event if event.log is None else event._replace(log=truncate_middle(event.log, LOG_KEPT))
                for event in self.events
            ]


def takes_long(data: bytes) -> bool:
    """Return whether a body is too large to be parsed while other requests wait."""
    return len(data) > BYTES_AT_ONCE or (len(data) > OBJECTS_AT_ONCE and data.count(b"{") > OBJECTS_AT_ONCE)


def validate_body(
    body: RequestBody,
    sender: Sender,
    received_at: datetime,
    limits: BodyLimits,
    rules: Sequence[MailRule],
    first_at: datetime | None = None,
) -> ValidatedBody:
    """Parse a body and validate its events; `rules` decide on those that are unclear. Raises BadInput if it cannot be parsed.

    `first_at`: when the same body was first received, if it was not stored to its end then.
    """
    parsed = parse_events(body, max_events=limits.events, max_event_size=limits.event_size)
    if rules:
        # Whatever else a sender states is a status field of its own.
        events = [
            (index, decide_by_rules([event], rules, "")[0] if event.get("outcome") == "unclear" else event)
            for index, event in parsed.events
        ]
        parsed = replace(parsed, events=events)
    return validate_parsed(parsed, sender, received_at, limits, first_at=first_at)


def validate_in_parts(
    body: RequestBody,
    sender: Sender,
    received_at: datetime,
    limits: BodyLimits,
    rules: Sequence[MailRule],
    first_at: datetime,
) -> Pieces[ValidatedBody]:
    """Validate a body, and return the parts in which its events are stored. Raises BadInput if it cannot be parsed."""
    return Pieces(validate_body(body, sender, received_at, limits, rules, first_at).cut(EVENTS_AT_ONCE))


def validate_parsed(
    parsed: ParsedBody,
    sender: Sender,
    received_at: datetime,
    limits: BodyLimits,
    flags: Sequence[str] = (),
    *,
    first_at: datetime | None = None,
) -> ValidatedBody:
    """Validate events that are parsed already. `flags`: for each of them. `first_at`: see `validate_body`."""
    agents: list[str] = []
    validated = ValidatedBody([], [], {}, list(parsed.rejected), agents)
    is_ahead = False
    for index, event in parsed.events:
        agent = None
        try:
            agent = resolve_agent_name(event, sender)
            refusal = None if sender.limits is None else sender.limits.refuse_name(agent)
            if refusal is not None:
                validated.not_let_in[index] = refusal
                validated.refused_agents[index] = agent
                continue
            row = validate_event(
                event,
                sender.customer_id,
                sender.agent_id or "",
                agent,
                received_at,
                limits.log_size,
                flags=(*flags, *parsed.flags.get(index, ())) if parsed.flags else flags,
                first_at=first_at,
            )
        except BadInput as cause:
            validated.rejected.append(EventRejection(index, cause.code, cause.detail, cause.field))
            if agent is not None:
                validated.refused_agents[index] = agent
            continue
        if sender.agent_id is None:
            validated.unknown[len(validated.events)] = agent
        validated.events.append(row)
        validated.indexes.append(index)
        agents.append(agent)
        is_ahead = is_ahead or row.occurred_at > received_at
    if is_ahead:
        validated.events = move_back_leads(validated.events, agents)
    if validated.rejected:
        validated.rejected.sort(key=lambda event: event.index)
    return validated
