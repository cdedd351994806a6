"""Accept a request's body: read, parse, validate and commit it, and return what became of each event.

Events are stored first. What they mean for alerts is decided later, by the decide stage.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple, ParamSpec, TypeVar

from app.context import AppContext
from app.core import metrics
from app.core.errors import BadInput, NotLetIn, OverBudget, Overloaded, TocsinError, TooLarge, Unavailable
from app.core.log import log
from app.domain.budget import Budget
from app.domain.enrolment import refuse_rejected
from app.domain.mail_rule import MailRule
from app.intake.batch import Batch
from app.intake.body import BodyHeaders, Receive, RequestBody, read_body, read_tool_body, read_truncated_body
from app.intake.budgets import BudgetRefusal, KeyBudgets, KeyMeter, routine_of
from app.intake.commit import GroupCommit, KnownAgents
from app.intake.customer_texts import CustomerTexts
from app.intake.dialects import mail
from app.intake.dialects.cut_texts import CUTS
from app.intake.dialects.mails.received import ReceivedMail
from app.intake.dialects.make_event import (
    attribute_to_sender,
    doubt_success,
    make_unreadable_event,
    why_unreadable,
)
from app.intake.dialects.repeated_names import REPEATED_NAMES, doubt_repeated, note_parameters
from app.intake.dialects.stated_trouble import judge_parameters
from app.intake.dialects.tool_request import Dialect, NotUnderstood, ToolRequest
from app.intake.enrol import AskedAgent, EnrolmentRefusals, let_in
from app.intake.first_tries import FirstTries, identify_body
from app.intake.language.reader import are_words_loaded
from app.intake.parse import EventRejection, ParsedBody, WireEvent
from app.intake.reading_child import Pieces
from app.intake.reading_process import WAIT_S, NotRead, ReadingProcesses, ReadTooSlowly
from app.intake.refused_reports import RefusedCounts
from app.intake.rule_events import decide_by_rules, is_read_from_words
from app.intake.validate import Sender
from app.intake.validated_body import (
    BodyLimits,
    ValidatedBody,
    takes_long,
    validate_body,
    validate_in_parts,
    validate_parsed,
)
from programs.protocol import report as protocol

P = ParamSpec("P")
T = TypeVar("T")
MAX_DIALECT_EVENTS = 1_000  # from one request of a tool
# Bytes of a tool's request. A larger one is read in another process: to read texts costs far more than to parse JSON.
READ_AT_ONCE = 2 * 1024
SLOW_RETRY_S = 60
BODY_PATIENCE = 6.0  # a body of events is refused if it is not read, while of a report that is not read to its end the beginning is kept


class IntakeResult(NamedTuple):
    """What became of a body's events; every accepted event is committed. `over_budget`: some were refused for now, and should be sent again.

    `unreadable`: why a tool's request could not be read; it is stored as an unclear event.
    """

    accepted: int
    duplicates: int
    rejected: Sequence[EventRejection] = ()
    over_budget: OverBudget | None = None
    unreadable: str | None = None


class Intake:
    """The entry point for every kind of request that brings events."""

    def __init__(self, context: AppContext, refusals: EnrolmentRefusals | None = None) -> None:
        self._context = context
        self.refusals = refusals or EnrolmentRefusals(context)
        self.refused = RefusedCounts(context)
        self.agents = KnownAgents()
        self.texts = CustomerTexts(context)
        self.budgets = KeyBudgets()
        self.commits = GroupCommit(context, self.agents, self.budgets)
        self.readers = ReadingProcesses()
        self._one_large_body = asyncio.Lock()
        self._first_tries = FirstTries()
        settings = context.settings
        self._limits = BodyLimits(settings.batch_events, settings.event_limit, settings.log_limit)

    async def accept_events(self, headers: BodyHeaders, receive: Receive, sender: Sender) -> IntakeResult:
        """Accept a body of events in our own format.

        Raises BadInput for a body that cannot be parsed, Overloaded and Unavailable if it was not stored.
        """
        try:
            body = await read_body(headers, receive, self._context.settings)
            rules = await self.texts.rules(sender.customer_id) if b"unclear" in body.data else ()
            inputs = (body, sender, self._context.clock(), self._limits, rules)
            if takes_long(body.data):
                validated = None
            elif are_words_loaded():
                validated = validate_body(*inputs)
            else:
                validated = await _read_here(validate_body, *inputs)
        except (BadInput, Overloaded) as cause:
            self._note_refused_request(sender, [sender.agent], cause)
            raise
        result = (
            await self._accept_large(*inputs)
            if validated is None
            else await self._store(validated, sender, len(body.data))
        )
        if result.rejected:
            metrics.EVENTS.labels("rejected", "").inc(len(result.rejected))
        return result

    async def accept_tool_request(
        self, tool: str, dialect: Dialect, request: ToolRequest, receive: Receive, sender: Sender
    ) -> IntakeResult:
        """Accept a request in a tool's own format. Raises TooLarge, Overloaded and Unavailable; any other content becomes an event."""
        encoding = request.headers.get("content-encoding", "")
        try:
            body = await read_tool_body(receive, encoding, self._context.settings.batch_limit)
        except BadInput as cause:
            self._note_refused_request(sender, [sender.agent], cause)
            raise
        whole = replace(request, body=body.data, is_cut=body.is_cut)
        return await self.accept_tool_request_with_body(tool, dialect, whole, sender)

    async def accept_signal(
        self, tool: str, dialect: Dialect, request: ToolRequest, receive: Receive, sender: Sender
    ) -> IntakeResult:
        """Accept a request whose address holds the result, and whose body is only a log, which is shortened if it is too long.

        Raises Overloaded and Unavailable.
        """
        encoding = request.headers.get("content-encoding", "")
        body = await read_truncated_body(receive, encoding, self._context.settings.batch_limit)
        whole = replace(request, body=body.data, is_cut=body.is_cut)
        return await self.accept_tool_request_with_body(tool, dialect, whole, sender, is_signal=True)

    async def accept_tool_request_with_body(
        self,
        tool: str,
        dialect: Dialect,
        request: ToolRequest,
        sender: Sender,
        *,
        is_signal: bool = False,
        over: KeyMeter | None = None,
    ) -> IntakeResult:
        """Accept a tool's request whose body is read already. Raises NotLetIn, OverBudget, Overloaded and Unavailable.

        Any content becomes an event. OverBudget: the failures in the request are stored all the same.
        `is_signal`: the dialect itself trusts no success that only a body that broke off states. `over`: refuses all but
        failures, as the request is a mail beyond those of a minute.
        """
        request = replace(request, known_names=await self.texts.names(sender.customer_id))
        events = await self.read_request(tool, dialect, request, sender, is_signal=is_signal)
        self.texts.learn(sender.customer_id, events)
        validated = (
            await asyncio.to_thread(self._validate_tool, tool, events, request, sender)
            if request.size > READ_AT_ONCE
            else self._validate_tool(tool, events, request, sender)
        )
        refused: OverBudget | None = None
        if over is not None and (routine := routine_of(validated.events)):
            names = [validated.agents[index] for index in sorted(routine)]
            refused = over.refuse(Budget.MAILS, names, self._context.clock().timestamp())
            validated.refuse(BudgetRefusal(routine, refused))
        result = await self._store(validated, sender, len(request.body), refused)
        if result.over_budget is not None:
            raise result.over_budget
        if validated.not_let_in and not result.accepted and not result.duplicates:
            first = result.rejected[0]
            raise NotLetIn(first.detail, code=first.code, field=first.field)
        return result._replace(unreadable=why_unreadable(events[0])) if len(events) == 1 else result

    async def let_in(self, sender: Sender, name: str) -> str:
        """Return the id of an agent that a sender names; one that is unknown is created. Raises NotLetIn, OverBudget, Unavailable."""
        refusal = None if sender.limits is None else sender.limits.refuse_name(name)
        known = self.agents.find(sender.customer_id, name)
        if known is None and refusal is None:
            agent = AskedAgent(sender.customer_id, name, sender.limits)
            async with self._context.database.write() as tx:
                enrolled = await let_in(
                    tx, [agent], self._context.clock(), lambda _: self._take_new_agent(sender, name)
                )
            self.agents.remember(enrolled.ids)
            known, refusal = enrolled.ids.get(agent[:2]), enrolled.refused.get(agent)
        if refusal is not None or known is None:
            refusal = refusal or refuse_rejected(name)
            raise NotLetIn(refusal.detail, code=refusal.rule, field="agent")
        return known

    def take_mail(self, sender: Sender) -> KeyMeter | None:
        """Take a mail from the budget of its key; return the meter that refuses the mail if there is no room, unless it reports a failure."""
        if sender.key is None:
            return None
        now = self._context.clock().timestamp()
        meter = self.budgets.meter(sender.key, now)
        return None if meter.mails.take(1, now) else meter

    def _take_new_agent(self, sender: Sender, name: str) -> bool:
        """Return True. Raises OverBudget."""
        self.commits.new_names.take_one(Budget.AGENTS, sender.key, name)
        return True

    async def read_request(
        self, tool: str, dialect: Dialect, request: ToolRequest, sender: Sender, *, is_signal: bool = False
    ) -> Sequence[WireEvent]:
        """Return what a request reports, and store nothing. A large one is read in another process; the dialect must be picklable.

        Of one that takes too long there, the beginning is read here, and it counts as cut.
        """
        read = partial(read_report, tool, dialect, is_signal=is_signal)
        if request.size > READ_AT_ONCE:
            work = partial(read, request, rules=await self.texts.rules(sender.customer_id))
            try:
                return await self.readers.run(f"{sender.customer_id} {sender.agent_id}", work)
            except NotRead as cause:
                log.warning("a report was not read to its end", tool=tool, cause=str(cause), size=request.size)
            request = request.beginning(READ_AT_ONCE)
        events = await _read_here(read, request)
        if any(map(is_read_from_words, events)):
            events = decide_by_rules(events, await self.texts.rules(sender.customer_id), tool)
        return events

    async def find_no_report(
        self, request: ToolRequest, rules: Sequence[MailRule], sender: Sender
    ) -> tuple[ReceivedMail, str] | None:
        """Return a mail that reports nothing, and why. A mail that takes too long to read counts as one to be stored."""
        if request.size <= READ_AT_ONCE or not mail.may_be_no_report(request):
            return await _read_here(mail.find_no_report, request, rules)
        try:
            return await self.readers.run(
                f"{sender.customer_id} {sender.agent_id}", partial(mail.find_no_report, request, rules)
            )
        except NotRead:
            return None

    async def _accept_large(
        self,
        body: RequestBody,
        sender: Sender,
        received_at: datetime,
        limits: BodyLimits,
        rules: Sequence[MailRule],
    ) -> IntakeResult:
        with self._first_tries.trying(await identify_body(sender, body.data), received_at) as first_at:
            try:
                work = partial(validate_in_parts, body, sender, received_at, limits, rules, first_at)
                parts = await self._validate_large(sender, work)
            except (BadInput, Overloaded) as cause:
                self._note_refused_request(sender, [sender.agent], cause)
                raise
            return await self._store_parts(parts, sender, len(body.data))

    async def _validate_large(
        self, sender: Sender, work: Callable[[], Pieces[ValidatedBody]]
    ) -> Sequence[ValidatedBody]:
        """Validate a large body in another process. Raises BadInput, TooLarge if it cannot be read, and Overloaded.

        Where no process can do it, for example because a slow machine has not started one yet, a thread does it, one body at a time:
        requests of others then wait for one call of the JSON parser, but no report is refused for the state of our processes.
        """
        try:
            return await self.readers.run(f"{sender.customer_id} {sender.agent_id}", work, patience=BODY_PATIENCE)
        except (
            ReadTooSlowly
        ) as cause:  # a fault of this machine: a refusal for good would lose what a faster one can read
            log.error("a large body of events was not parsed in time", cause=str(cause))
            slow = Overloaded(f"the body could not be parsed in time: {cause}; send it again, or in parts")
            slow.retry_after = SLOW_RETRY_S
            raise slow from cause
        except NotRead as cause:
            if not cause.may_succeed_later:
                log.warning("a large body of events was not parsed", cause=str(cause))
                raise TooLarge(f"the body cannot be parsed: {cause}; send it in parts") from cause
            log.warning("a large body of events is parsed in the service itself", cause=str(cause))
        try:
            async with asyncio.timeout(WAIT_S):
                await self._one_large_body.acquire()
        except TimeoutError:
            raise Overloaded("too many large bodies are being parsed") from None
        try:
            return await asyncio.to_thread(work)
        finally:
            self._one_large_body.release()

    def _validate_tool(
        self, tool: str, found: Sequence[WireEvent], request: ToolRequest, sender: Sender
    ) -> ValidatedBody:
        events = [attribute_to_sender(event, tool, sender.agent) for event in found]
        flags = ("body_cut",) if request.is_cut else ()
        validated = self._validate(ParsedBody(list(enumerate(events))), sender, flags)
        if validated.rejected:  # the tool cannot correct an event that our dialect made
            cause = validated.rejected[0].detail
            log.error("a dialect made an invalid event", tool=tool, cause=cause)
            fallback = attribute_to_sender(make_unreadable_event(tool, request, cause), tool, sender.agent)
            valid = [event for index, event in enumerate(events) if index in set(validated.indexes)]
            validated = self._validate(ParsedBody(list(enumerate([*valid, fallback]))), sender, flags)
        return validated

    def _validate(self, parsed: ParsedBody, sender: Sender, flags: Sequence[str] = ()) -> ValidatedBody:
        return validate_parsed(parsed, sender, self._context.clock(), self._limits, flags)

    async def _store_parts(self, parts: Sequence[ValidatedBody], sender: Sender, size: int) -> IntakeResult:
        """Store a body part by part. Raises Overloaded and Unavailable; what was stored before stays, and is a duplicate when it is sent again."""
        if len(parts) == 1:
            return await self._store(parts[0], sender, size)
        events = [event for part in parts for event in part.events]
        results: list[IntakeResult] = []
        try:
            with self.commits.holding_a_place(events, size):
                for part in parts:
                    share = size * len(part.events) // max(1, len(events))
                    results.append(await self._store(part, sender, share, has_place=True))
                    await asyncio.sleep(0)  # a part of which nothing is to be stored has not waited
        except (Overloaded, Unavailable) as cause:
            self._note_refused_request(sender, [name for part in parts[len(results) :] for name in part.agents], cause)
            raise
        rejected = [one for result in results for one in result.rejected]
        answers = [result.over_budget for result in results if result.over_budget is not None]
        over_budget = max(answers, key=lambda answer: answer.retry_after, default=None)
        if over_budget is not None and sender.key is not None:  # so that all that was refused finds room
            now = self._context.clock().timestamp()
            count = sum(one.code == over_budget.code for one in rejected)
            budget = Budget(over_budget.code.removeprefix(protocol.LATER))
            over_budget = self.budgets.meter(sender.key, now).over(budget, count, now)
        return IntakeResult(
            sum(result.accepted for result in results),
            sum(result.duplicates for result in results),
            rejected,
            over_budget,
        )

    async def _store(
        self,
        validated: ValidatedBody,
        sender: Sender,
        size: int,
        over: OverBudget | None = None,
        *,
        has_place: bool = False,
    ) -> IntakeResult:
        refusal: BudgetRefusal | None = None
        if sender.key is not None and validated.events:
            now = validated.events[0].received_at.timestamp()
            refusal = self.budgets.admit(sender.key, validated.events, validated.agents, size, now)
            if refusal is not None:
                validated.refuse(refusal)
        over_budget = over if refusal is None else refusal.answer or over
        if not validated.events:
            return IntakeResult(0, 0, self._with_refusals(validated, sender), over_budget)
        unknown = {}
        for index, name in validated.unknown.items():
            agent_id = self.agents.find(sender.customer_id, name)
            if agent_id is None:
                unknown[index] = AskedAgent(sender.customer_id, name, sender.limits)
            else:
                validated.events[index] = validated.events[index].with_agent(agent_id)
        try:
            batch = await self.commits.store(validated.events, unknown, size, sender.key, has_place=has_place)
        except (Overloaded, Unavailable) as cause:
            if not has_place:  # otherwise it is counted with the rest of the body
                self._note_refused_request(sender, validated.agents, cause)
            raise
        if batch.refused or batch.unstorable or batch.not_let_in:
            over_budget = self._reject(batch, validated) or over_budget
        is_whole = not (validated.rejected or validated.not_let_in)
        rejected = () if is_whole else self._with_refusals(validated, sender)
        stored = len(validated.events) - len(batch.unstorable) - len(batch.not_let_in) - len(batch.refused)
        return IntakeResult(stored - batch.duplicates, batch.duplicates, rejected, over_budget)

    def _reject(self, batch: Batch, validated: ValidatedBody) -> OverBudget | None:
        """Add what the commit did not store to what is rejected; return the answer if some of it is beyond a budget."""
        for index in {*batch.not_let_in, *batch.unstorable, *batch.refused}:
            validated.refused_agents[validated.indexes[index]] = validated.agents[index]
        for index, refusal in batch.not_let_in.items():
            validated.not_let_in[validated.indexes[index]] = refusal
        for index in batch.unstorable:
            where = validated.indexes[index]
            validated.rejected.append(EventRejection(where, "not_storable", "the database refuses this event"))
        answers: dict[Budget, OverBudget] = {}
        if batch.key is not None and batch.refused:
            now = self._context.clock().timestamp()
            meter, counts = self.budgets.meter(batch.key, now), Counter(batch.refused.values())
            answers = {budget: meter.over(budget, count, now) for budget, count in counts.items()}
            for index, budget in batch.refused.items():
                answer = answers[budget]
                validated.rejected.append(EventRejection(validated.indexes[index], answer.code, answer.detail))
        validated.rejected.sort(key=lambda event: event.index)
        return max(answers.values(), key=lambda answer: answer.retry_after, default=None)

    def _with_refusals(self, validated: ValidatedBody, sender: Sender) -> Sequence[EventRejection]:
        """Return the rejected events with those whose agents the limits of the key refuse, and count all of them."""
        rejected: Sequence[EventRejection] = validated.rejected
        if validated.not_let_in and sender.limits is not None:
            for refusal in validated.not_let_in.values():
                self.refusals.note(sender.limits, refusal)
            refused = [
                EventRejection(index, one.rule, one.detail, "agent") for index, one in validated.not_let_in.items()
            ]
            rejected = sorted([*rejected, *refused], key=lambda event: event.index)
        for one in rejected:
            agent = sender.agent or validated.refused_agents.get(one.index)
            self._note_refused(sender, agent, one.code, one.detail)
        return rejected

    def _note_refused_request(self, sender: Sender, agents: Sequence[str | None], cause: TocsinError) -> None:
        """Count a request that was refused as a whole, or its rest, and each report of an agent in it."""
        metrics.REQUESTS_REFUSED.labels(cause.code).inc()
        for agent in agents:
            self._note_refused(sender, agent, cause.code, cause.detail)

    def _note_refused(self, sender: Sender, agent: str | None, code: str, detail: str) -> None:
        """Count a refused report of an agent, for the alert about a run that did not come."""
        if agent is not None:
            self.refused.note(sender.customer_id, agent, code, detail)


async def _read_here(read: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Return the result of reading a short text: in a thread until the words are loaded, as the first text would stop all others for that."""
    return read(*args, **options) if are_words_loaded() else await asyncio.to_thread(read, *args, **options)


def read_report(
    tool: str, dialect: Dialect, request: ToolRequest, *, is_signal: bool = False, rules: Sequence[MailRule] = ()
) -> Sequence[WireEvent]:
    """Return the events of a request, as dialect and rules read it. `is_signal`: see `accept_tool_request_with_body`."""
    events = run_dialect(tool, dialect, request)
    if request.is_cut and not is_signal:
        events = list(map(doubt_success, events))
    return decide_by_rules(events, rules, tool)


def run_dialect(tool: str, dialect: Dialect, request: ToolRequest) -> Sequence[WireEvent]:
    """Return the events that a dialect reads from a request. A request that cannot be read becomes an unclear event.

    So a report is never lost because of a bug in a dialect. The result is empty only where the dialect returns no event.
    """
    try:
        with REPEATED_NAMES.collecting() as repeated, CUTS.collecting() as cuts:
            note_parameters(request.query)
            events = judge_parameters(dialect(request), request.query)
    except NotUnderstood as cause:
        return [make_unreadable_event(tool, request, str(cause), job=cause.job)]
    except Exception:  # noqa: BLE001  (an error boundary)
        log.exception("a dialect failed because of a bug of ours; the request is stored as unclear", tool=tool)
        return [make_unreadable_event(tool, request, "an internal error; see the service's log")]
    if repeated:
        events = [doubt_repeated(event, repeated[0]) for event in events] or [
            make_unreadable_event(tool, request, repeated[0])
        ]
    if cuts:
        events = [doubt_success(event, cuts[0]) for event in events]
    if len(events) <= MAX_DIALECT_EVENTS:
        return events
    return [
        *sorted(events, key=lambda event: event.get("outcome") == "success")[:MAX_DIALECT_EVENTS],
        make_unreadable_event(tool, request, f"it reports more than {MAX_DIALECT_EVENTS} results at once"),
    ]
