"""Takes a request's body in: read, parse, shape, commit; and says what became of each event. It stores first and judges nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.context import AppContext
from app.core import metrics
from app.core.errors import BadInput
from app.core.log import log
from app.intake.agents import KnownAgents
from app.intake.body import Body, Head, Receive, read_any, read_body, read_cut
from app.intake.commit import GroupCommit
from app.intake.dialects.make_event import named_here, unread
from app.intake.dialects.tool_request import Dialect, ToolRequest
from app.intake.interpret import interpret
from app.intake.parse import Parsed, Rejected, parse
from app.intake.shape import Sender, agent_of, shape
from app.store.intake import NewEvent

_BIG = 1024 * 1024  # from here on a body is read in a thread, so that others need not wait for it


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a body's events; everything accepted is committed."""

    accepted: int
    duplicates: int
    rejected: Sequence[Rejected] = ()


@dataclass(slots=True)
class _Shaped:
    events: list[NewEvent]
    places: list[int]  # of each event in the body
    unknown: dict[int, str]  # place in `events` -> name of an agent without an id yet
    rejected: list[Rejected]


class Intake:
    """The way in, for every kind of request that brings events."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self.agents = KnownAgents()
        self.commits = GroupCommit(context, self.agents)

    async def accept(self, head: Head, receive: Receive, sender: Sender) -> Receipt:
        """Take a body in. Raises BadInput for a body that cannot be read, Overloaded and Unavailable if it was not stored."""
        receipt = await self._accept(head, receive, sender)
        if receipt.rejected:
            metrics.EVENTS.labels("rejected", "").inc(len(receipt.rejected))
        return receipt

    async def _accept(self, head: Head, receive: Receive, sender: Sender) -> Receipt:
        body = await read_body(head, receive, self._context.settings)
        big = len(body.data) > _BIG
        shaped = await asyncio.to_thread(self._shape, body, sender) if big else self._shape(body, sender)
        return await self._store(shaped, sender, len(body.data))

    async def hear(self, tool: str, dialect: Dialect, said: ToolRequest, receive: Receive, sender: Sender) -> Receipt:
        """Take in what a tool says in its own words. Raises TooLarge, Overloaded and Unavailable; all else becomes an event."""
        body = await read_any(receive, said.headers.get("content-encoding", ""), self._context.settings.batch_limit)
        return await self.take(tool, dialect, replace(said, body=body), sender)

    async def hear_signal(
        self, tool: str, dialect: Dialect, said: ToolRequest, receive: Receive, sender: Sender
    ) -> Receipt:
        """Take in what a tool says by an address; its body is a log, and is cut. Raises Overloaded and Unavailable."""
        body = await read_cut(receive, said.headers.get("content-encoding", ""), self._context.settings.batch_limit)
        return await self.take(tool, dialect, replace(said, body=body), sender)

    async def take(self, tool: str, dialect: Dialect, said: ToolRequest, sender: Sender) -> Receipt:
        """Take in what a tool said, its body included. Raises Overloaded and Unavailable; all else becomes an event."""
        big = len(said.body) > _BIG
        shaped = (
            await asyncio.to_thread(self._interpreted, tool, dialect, said, sender)
            if big
            else self._interpreted(tool, dialect, said, sender)
        )
        return await self._store(shaped, sender, len(said.body))

    def now(self) -> datetime:
        """Give the time by which what is heard now was received."""
        return self._context.clock()

    def _interpreted(self, tool: str, dialect: Dialect, said: ToolRequest, sender: Sender) -> _Shaped:
        events = [named_here(event, tool, sender.agent) for event in interpret(tool, dialect, said)]
        shaped = self._rows(Parsed(list(enumerate(events))), sender)
        if shaped.rejected:  # a tool cannot mend what a dialect of ours made of its words
            log.error("a dialect made an event that is none", tool=tool, cause=shaped.rejected[0].detail)
            kept = named_here(unread(tool, said, shaped.rejected[0].detail), tool, sender.agent)
            good = [event for index, event in enumerate(events) if index in set(shaped.places)]
            shaped = self._rows(Parsed(list(enumerate([*good, kept]))), sender)
        return shaped

    async def _store(self, shaped: _Shaped, sender: Sender, weight: int) -> Receipt:
        if not shaped.events:
            return Receipt(0, 0, shaped.rejected)
        batch = await self.commits.store(sender.customer_id, shaped.events, shaped.unknown, weight)
        rejected = shaped.rejected
        if batch.unstorable:
            refused = [
                Rejected(shaped.places[place], "not_storable", "the database refuses it") for place in batch.unstorable
            ]
            rejected = sorted(rejected + refused, key=lambda one: one.index)
        taken = len(shaped.events) - len(batch.unstorable)
        return Receipt(taken - batch.duplicates, batch.duplicates, rejected)

    def _shape(self, body: Body, sender: Sender) -> _Shaped:
        settings = self._context.settings
        return self._rows(parse(body, most_events=settings.batch_events, line_limit=settings.event_limit), sender)

    def _rows(self, parsed: Parsed, sender: Sender) -> _Shaped:
        settings, received_at = self._context.settings, self._context.clock()
        shaped = _Shaped([], [], {}, list(parsed.rejected))
        for index, event in parsed.events:
            try:
                agent = agent_of(event, sender)
                agent_id = sender.agent_id or self.agents.find(sender.customer_id, agent)
                row = shape(
                    event,
                    sender.customer_id,
                    agent_id or "",
                    agent,
                    received_at,
                    settings.log_limit,
                    was_replaced=index in parsed.replaced,
                )
            except BadInput as cause:
                shaped.rejected.append(Rejected(index, cause.code, cause.detail, cause.field))
                continue
            if agent_id is None:
                shaped.unknown[len(shaped.events)] = agent
            shaped.events.append(row)
            shaped.places.append(index)
        shaped.rejected.sort(key=lambda one: one.index)
        return shaped
