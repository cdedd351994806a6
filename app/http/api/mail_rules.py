"""Mail rules over HTTP: what a text of a tool means. They apply to mails, and to messages whose outcome was read from words."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints, model_validator
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import mail_rules as admin_mail_rules
from app.core.ids import new_id
from app.domain.event import Activity, RunOutcome
from app.domain.mail_rule import MailRule
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import (
    CreatedAt,
    CustomerId,
    Name,
    OnlyCustomer,
    OnlyEnabled,
    OnlyName,
    OutCustomerId,
    OutId,
    OutModel,
    OutName,
    OutPosition,
    PathId,
    Position,
    StrictModel,
    Version,
    example,
    left_out,
    merged,
)
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.intake.accept import Intake
from app.store.mail_rules import MAIL_RULES, newest_read_texts, page_mail_rules

router = APIRouter(prefix="/v1/mail-rules", tags=["mail-rules"])

_STORABLE = r"^[^\x00]*[^\s\x00][^\x00]*$"  # a glob of spaces only would match every text without words
_SUBJECT = (
    "A glob over the subject of a mail or the title of a message, in any case; `*` is any text. Null: any subject."
)
_SENDER = "A glob over the mail's sender, such as `*@nas01.example`, or the tool's name. Null: any sender."
_BODY = "A glob over the whole text; line ends count as spaces. Null: any text."
_NAMED = "`{1}` is the text that the first `*` matched: those of the subject come first, then those of the sender, then those of the body."
_JOB = f"The job's name. {_NAMED} Null: the job that the text names."
_AGENT = f"The agent's name, under an enrolment key. {_NAMED} Null: the agent that the text names."
_ACTIVITY = "What the tool did. Null: what the text says, or else a backup."

Glob = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_STORABLE)]
BodyGlob = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=_STORABLE)]
MailOutcome = Annotated[
    Literal["success", "warning", "failure", "cancelled"],  # members of RunOutcome would be shown as `<RunOutcome...>`
    Field(description="What such a text reports."),
]
SetOutcome = Annotated[
    MailOutcome | None,
    Field(
        description="What such a text reports. Null: the outcome is read from the text; the rule sets only job, agent or activity."
    ),
]
MailRuleName = Annotated[Name, Field(description="Its name, unique among mail rules.", examples=["Arcserve failures"])]
MailRuleEnabled = Annotated[bool, Field(description="Whether it is tried.")]
MailSubject = Annotated[Glob | None, Field(description=_SUBJECT, examples=["*job * failed*"])]
MailSender = Annotated[Glob | None, Field(description=_SENDER, examples=["*@nas01.example"])]
MailBody = Annotated[BodyGlob | None, Field(description=_BODY, examples=["*repository is full*"])]
MailActivity = Annotated[Activity | None, Field(description=_ACTIVITY)]
MailJob = Annotated[Name | None, Field(description=_JOB, examples=["{2}"])]
MailAgent = Annotated[Name | None, Field(description=_AGENT, examples=["{1}"])]


class MailRuleCreate(
    StrictModel,
    json_schema_extra=example(name="Arcserve failures", subject="*job * failed*", outcome="failure", job="{2}"),
):
    """A mail rule to create. It has at least one of `subject`, `sender` and `body`, and at least one of the fields that it sets.

    Rules are tried by `position`. The first that matches a text and sets an outcome decides. The first that matches and sets no
    outcome can still set job, agent and activity. If no rule matches, the text is read by the template of its tool or by its words.
    """

    name: MailRuleName
    customer_id: CustomerId = None
    position: Position = 100
    enabled: MailRuleEnabled = True
    subject: MailSubject = None
    sender: MailSender = None
    body: MailBody = None
    outcome: SetOutcome = None
    activity: MailActivity = None
    job: MailJob = None
    agent: MailAgent = None

    @model_validator(mode="after")
    def _looks_at_something(self) -> Self:
        if self.subject is None and self.sender is None and self.body is None:
            raise ValueError("at least one of subject, sender and body must be set")
        if self.outcome is None and self.job is None and self.agent is None and self.activity is None:
            raise ValueError("at least one of outcome, job, agent and activity must be set")
        return self

    def to_mail_rule(self, rule_id: str, at: datetime | None) -> MailRule:
        """Return the mail rule, created at `at`."""
        return MailRule(
            id=rule_id,
            subject=self.subject,
            sender=self.sender,
            body=self.body,
            outcome=None if self.outcome is None else RunOutcome(self.outcome),
            activity=self.activity,
            job=self.job,
            agent=self.agent,
            name=self.name,
            customer_id=self.customer_id,
            position=self.position,
            enabled=self.enabled,
            created_at=at,
        )


class MailRuleUpdate(StrictModel, json_schema_extra=example(enabled=False)):
    """The fields of a mail rule to change; a field that is left out stays as it is."""

    name: MailRuleName = left_out()
    customer_id: CustomerId = left_out()
    position: Position = left_out()
    enabled: MailRuleEnabled = left_out()
    subject: MailSubject = left_out()
    sender: MailSender = left_out()
    body: MailBody = left_out()
    outcome: SetOutcome = left_out()
    activity: MailActivity = left_out()
    job: MailJob = left_out()
    agent: MailAgent = left_out()

    def applied_to(self, rule: MailRule) -> MailRule:
        """Return the mail rule with the fields that were sent. Raises RequestValidationError."""
        whole = merged(MailRuleCreate, MailRuleOut.of(rule), self)
        after = replace(whole.to_mail_rule(rule.id, rule.created_at), version=rule.version)
        # With another glob it is not the form of a text any more, and `*` stands for any text.
        is_same_form = (after.subject, after.body) == (rule.subject, rule.body)
        return replace(after, taught_from=rule.taught_from) if is_same_form else after


class MailRuleOut(OutModel):
    """A mail rule."""

    id: OutId
    version: Version
    name: OutName
    customer_id: OutCustomerId
    position: OutPosition
    enabled: MailRuleEnabled
    subject: str | None = Field(description=_SUBJECT)
    sender: str | None = Field(description=_SENDER)
    body: str | None = Field(description=_BODY)
    outcome: SetOutcome
    activity: MailActivity
    job: str | None = Field(description=_JOB)
    agent: str | None = Field(description=_AGENT)
    taught_from: RunOutcome | None = Field(
        description="If the rule was made by an answer to a text: the outcome that the text had until then. In such a rule, each `*` stands only for a number, date, time, id or size."
    )
    created_at: CreatedAt


class MailRulePage(PageOut[MailRuleOut]):
    """A page of mail rules."""


class MailRuleTry(StrictModel, json_schema_extra=example(subject="*job * failed*", outcome="failure", job="{2}")):
    """A mail rule to try. It is not stored."""

    customer_id: CustomerId = None
    subject: MailSubject = None
    sender: MailSender = None
    body: MailBody = None
    outcome: SetOutcome = None
    activity: MailActivity = None
    job: MailJob = None
    agent: MailAgent = None

    def to_mail_rule(self) -> MailRule:
        """Return the mail rule. Raises RequestValidationError if it looks at nothing."""
        whole = merged(MailRuleCreate, self, MailRuleUpdate(name="tried"))
        return whole.to_mail_rule("", None)


class TriedTextOut(BaseModel):
    """What a rule would have decided for one text."""

    event_id: OutId
    sender: str = Field(description="The mail's sender, or the tool.")
    subject: str = Field(description="The subject of the mail, or the title of the message.")
    outcome: RunOutcome | None = Field(description="The outcome that was decided when it arrived.")
    job: str | None = Field(description="The job that it was counted for.")
    matches: bool = Field(description="Whether the rule matches it.")
    rule_outcome: RunOutcome | None = Field(description="The outcome by the rule; null if it does not match.")
    rule_job: str | None = Field(description="The job by the rule; null if it does not match.")
    rule_agent: str | None = Field(description="The agent by the rule; null if it sets none.")


class TriedMailRuleOut(BaseModel):
    """What a rule would have decided for the newest texts."""

    texts: list[TriedTextOut] = Field(description="The newest texts, at most 50, newest first.")
    matching: int = Field(description="How many of them the rule matches.")


class MailRulesQuery(Paged):
    """Filters of the list of mail rules."""

    customer_id: OnlyCustomer = None
    name: OnlyName = None
    enabled: OnlyEnabled = None


@router.get("", operation_id="list_mail_rules", summary="List mail rules", responses=problems())
async def list_mail_rules(query: Annotated[MailRulesQuery, Query()], context: Context, _caller: Reader) -> MailRulePage:
    """Return mail rules in the order of their creation."""
    async with context.database.read() as tx:
        page = await page_mail_rules(
            tx,
            query.window(MAIL_RULES.prefix),
            customer_id=query.customer_id,
            name=query.name,
            enabled=query.enabled,
        )
    return MailRulePage.of(page)


@router.get("/{mail_rule_id}", operation_id="get_mail_rule", summary="Get a mail rule", responses=problems(404, 409))
async def get_mail_rule(mail_rule_id: PathId, response: Response, context: Context, _caller: Reader) -> MailRuleOut:
    """Return one mail rule."""
    async with context.database.read() as tx:
        rule = await MAIL_RULES.get(tx, mail_rule_id)
    put_etag(response, rule.version)
    return MailRuleOut.of(rule)


@router.post(
    "",
    operation_id="create_mail_rule",
    summary="Create a mail rule",
    status_code=HTTP_201_CREATED,
    responses=problems(409),
)
async def create_mail_rule(
    body: MailRuleCreate, request: Request, response: Response, context: Context, caller: Admin
) -> MailRuleOut:
    """Add a mail rule. It applies to texts that arrive from now on."""
    intake: Intake = request.app.state.intake
    async with context.database.write() as tx:
        tx.after_commit(intake.texts.forget)  # otherwise the next text would be read by the rules of some seconds ago
        by = editor_of(context, caller)
        rule = await admin_mail_rules.create_mail_rule(tx, body.to_mail_rule(new_id("mrl"), by.at), by)
    response.headers["Location"] = f"/v1/mail-rules/{rule.id}"
    put_etag(response, rule.version)
    return MailRuleOut.of(rule)


# A path that ends with `:try` cannot be taken for an id: ids have no colon.
@router.post(":try", operation_id="test_mail_rule", summary="Try a mail rule", responses=problems())
async def try_mail_rule(body: MailRuleTry, context: Context, _caller: Reader) -> TriedMailRuleOut:
    """Return what a rule would have decided for the last 50 texts whose outcome was read from words. Nothing is stored or changed.

    Only the newest 5000 events are searched for such texts.
    """
    rule = body.to_mail_rule()
    admin_mail_rules.check_globs(rule)
    async with context.database.read() as tx:
        texts = await newest_read_texts(tx, body.customer_id)
    tried = [
        TriedTextOut(
            event_id=read.event_id,
            sender=read.text.sender,
            subject=read.text.subject,
            outcome=read.outcome,
            job=read.job,
            matches=stars is not None,
            rule_outcome=None if stars is None else rule.outcome or read.outcome,
            rule_job=None if stars is None else rule.job_of(stars) or read.job,
            rule_agent=None if stars is None else rule.agent_of(stars),
        )
        for read in texts
        for stars in [rule.read(read.text)]
    ]
    return TriedMailRuleOut(texts=tried, matching=sum(one.matches for one in tried))


@router.patch(
    "/{mail_rule_id}", operation_id="update_mail_rule", summary="Update a mail rule", responses=problems(404, 409, 412)
)
async def update_mail_rule(
    mail_rule_id: PathId,
    body: MailRuleUpdate,
    request: Request,
    response: Response,
    context: Context,
    caller: Admin,
    versions: IfMatch,
) -> MailRuleOut:
    """Replace the fields that are sent; the others stay as they are."""
    intake: Intake = request.app.state.intake
    async with context.database.write() as tx:
        tx.after_commit(intake.texts.forget)  # otherwise the next text would be read by the rules of some seconds ago
        by = editor_of(context, caller, body.model_fields_set)
        rule = await admin_mail_rules.update_mail_rule(tx, mail_rule_id, body.applied_to, by, versions=versions)
    put_etag(response, rule.version)
    return MailRuleOut.of(rule)


@router.delete(
    "/{mail_rule_id}",
    operation_id="delete_mail_rule",
    summary="Delete a mail rule",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_mail_rule(
    mail_rule_id: PathId, request: Request, context: Context, caller: Admin, versions: IfMatch
) -> None:
    """Delete a mail rule. From now on, other rules or the words decide on texts that it matched."""
    intake: Intake = request.app.state.intake
    async with context.database.write() as tx:
        tx.after_commit(intake.texts.forget)  # otherwise the next text would be read by the rules of some seconds ago
        await admin_mail_rules.delete_mail_rule(tx, mail_rule_id, editor_of(context, caller), versions=versions)
