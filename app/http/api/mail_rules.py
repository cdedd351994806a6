"""Mail rules over HTTP: what a mail of a tool that can only mail means."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field
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
    Value,
    Version,
    example,
    left_out,
    merged,
)
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.store.mail_rules import MAIL_RULES, page_mail_rules

router = APIRouter(prefix="/v1/mail-rules", tags=["mail-rules"])

_SUBJECT = "A glob over the subject, in any case; `*` is any text."
_JOB = "The job's name; `{1}` is what the first `*` stood for. Null: the job of the key, or else the sender."

MailOutcome = Annotated[
    Literal["success", "warning", "failure", "cancelled"],  # members of RunOutcome would be shown as `<RunOutcome...>`
    Field(description="What such a mail reports."),
]
MailRuleName = Annotated[Name, Field(description="Its name, unique among mail rules.", examples=["Arcserve failures"])]
MailRuleEnabled = Annotated[bool, Field(description="Whether it is tried.")]
MailSubject = Annotated[Value, Field(min_length=1, description=_SUBJECT, examples=["*job * failed*"])]
MailActivity = Annotated[Activity, Field(description="What the tool did.")]
MailJob = Annotated[Name | None, Field(description=_JOB, examples=["{2}"])]


class MailRuleCreate(
    StrictModel,
    json_schema_extra=example(name="Arcserve failures", subject="*job * failed*", outcome="failure", job="{2}"),
):
    """A mail rule to create. The first that fits a subject decides; where none does, built-in rules know the subjects of many tools."""

    name: MailRuleName
    customer_id: CustomerId = None
    position: Position = 100
    enabled: MailRuleEnabled = True
    subject: MailSubject
    outcome: MailOutcome
    activity: MailActivity = Activity.BACKUP
    job: MailJob = None

    def to_mail_rule(self, rule_id: str, at: datetime | None) -> MailRule:
        """Return the mail rule, created at `at`."""
        return MailRule(
            id=rule_id,
            subject=self.subject,
            outcome=RunOutcome(self.outcome),
            activity=self.activity,
            job=self.job,
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
    outcome: MailOutcome = left_out()
    activity: MailActivity = left_out()
    job: MailJob = left_out()

    def applied_to(self, rule: MailRule) -> MailRule:
        """Return the mail rule with the fields that were sent. Raises RequestValidationError."""
        whole = merged(MailRuleCreate, MailRuleOut.of(rule), self)
        return replace(whole.to_mail_rule(rule.id, rule.created_at), version=rule.version)


class MailRuleOut(OutModel):
    """A mail rule."""

    id: OutId
    version: Version
    name: OutName
    customer_id: OutCustomerId
    position: OutPosition
    enabled: MailRuleEnabled
    subject: str = Field(description=_SUBJECT)
    outcome: MailOutcome
    activity: MailActivity
    job: str | None = Field(description=_JOB)
    created_at: CreatedAt


class MailRulePage(PageOut[MailRuleOut]):
    """A page of mail rules."""


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
async def create_mail_rule(body: MailRuleCreate, response: Response, context: Context, caller: Admin) -> MailRuleOut:
    """Add a mail rule, for a tool that can only mail."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        rule = await admin_mail_rules.create_mail_rule(tx, body.to_mail_rule(new_id("mrl"), by.at), by)
    response.headers["Location"] = f"/v1/mail-rules/{rule.id}"
    put_etag(response, rule.version)
    return MailRuleOut.of(rule)


@router.patch(
    "/{mail_rule_id}", operation_id="update_mail_rule", summary="Update a mail rule", responses=problems(404, 409, 412)
)
async def update_mail_rule(
    mail_rule_id: PathId, body: MailRuleUpdate, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> MailRuleOut:
    """Replace the fields that are sent; the others stay as they are."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
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
async def delete_mail_rule(mail_rule_id: PathId, context: Context, caller: Admin, versions: IfMatch) -> None:
    """Delete a mail rule. Mails that it read are read by the next rule from now on."""
    async with context.database.write() as tx:
        await admin_mail_rules.delete_mail_rule(tx, mail_rule_id, editor_of(context, caller), versions=versions)
