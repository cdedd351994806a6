"""Rules over HTTP: which trouble opens an alert."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Self

from fastapi import APIRouter, Query, Response
from pydantic import Field, model_validator
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import rules as admin_rules
from app.core.ids import new_id
from app.domain.alert import AlertKind, Rule
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import (
    YEAR_S,
    CreatedAt,
    CustomerId,
    Matchers,
    Name,
    OnlyCustomer,
    OnlyEnabled,
    OnlyName,
    OptionalSeconds,
    OutCustomerId,
    OutId,
    OutMatchers,
    OutModel,
    OutName,
    OutPosition,
    PathId,
    Position,
    Seconds,
    StrictModel,
    Version,
    example,
    left_out,
    merged,
    seconds_or_none,
    to_matchers,
)
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.store.routing import RULES, page_rules

router = APIRouter(prefix="/v1/rules", tags=["rules"])

_ENABLED = "Whether it opens alerts; if false, what it matches opens none."
_KIND = "The kind of trouble that it decides on."
_AFTER = "How many in a row open the alert."
_RETRY = "A success within so many seconds closes the alert before it is sent."
_SILENT = "For agent_silent: seconds without any report; null: such agents never count as silent."

RuleName = Annotated[Name, Field(description="Its name, unique among rules.", examples=["three warnings in a row"])]
RuleEnabled = Annotated[bool, Field(description=_ENABLED)]
RuleKind = Annotated[AlertKind, Field(description=_KIND)]
AfterInRow = Annotated[int, Field(ge=1, le=1000, description=_AFTER)]
RetryWithin = Annotated[int, Field(ge=0, le=7 * 86400, description=_RETRY)]
RuleSilentAfter = Annotated[int | None, Field(ge=60, le=YEAR_S, description=_SILENT)]


class RuleCreate(
    StrictModel, json_schema_extra=example(name="three warnings in a row", kind="warning", after_in_row=3, position=50)
):
    """A rule to create. The first rule that matches decides; a disabled one decides that no alert opens."""

    name: RuleName
    customer_id: CustomerId = None
    position: Position = 100
    enabled: RuleEnabled = True
    kind: RuleKind
    matchers: Matchers = Field(default_factory=list)
    after_in_row: AfterInRow = 1
    retry_within_s: RetryWithin = 0
    silent_after_s: RuleSilentAfter = None

    @model_validator(mode="after")
    def _has_a_limit_only_of_its_kind(self) -> Self:
        if self.silent_after_s is not None and self.kind is not AlertKind.AGENT_SILENT:
            raise ValueError("silent_after_s is only for rules of kind agent_silent")
        return self

    def to_rule(self, rule_id: str, at: datetime | None) -> Rule:
        """Return the rule, created at `at`."""
        return Rule(
            id=rule_id,
            name=self.name,
            kind=self.kind,
            customer_id=self.customer_id,
            enabled=self.enabled,
            matchers=to_matchers(self.matchers),
            after_in_row=self.after_in_row,
            retry_within=timedelta(seconds=self.retry_within_s),
            silent_after=seconds_or_none(self.silent_after_s),
            position=self.position,
            created_at=at,
        )


class RuleUpdate(StrictModel, json_schema_extra=example(after_in_row=5)):
    """The fields of a rule to change; a field that is left out stays as it is."""

    name: RuleName = left_out()
    customer_id: CustomerId = left_out()
    position: Position = left_out()
    enabled: RuleEnabled = left_out()
    kind: RuleKind = left_out()
    matchers: Matchers = left_out()
    after_in_row: AfterInRow = left_out()
    retry_within_s: RetryWithin = left_out()
    silent_after_s: RuleSilentAfter = left_out()

    def applied_to(self, rule: Rule) -> Rule:
        """Return the rule with the fields that were sent. Raises RequestValidationError."""
        whole = merged(RuleCreate, RuleOut.of(rule), self)
        return replace(whole.to_rule(rule.id, rule.created_at), version=rule.version)


class RuleOut(OutModel):
    """A rule."""

    id: OutId
    version: Version
    name: OutName
    customer_id: OutCustomerId
    position: OutPosition
    enabled: RuleEnabled
    kind: RuleKind
    matchers: OutMatchers
    after_in_row: int = Field(description=_AFTER)
    retry_within_s: Seconds = Field(validation_alias="retry_within", description=_RETRY)
    silent_after_s: OptionalSeconds = Field(validation_alias="silent_after", description=_SILENT)
    created_at: CreatedAt


class RulePage(PageOut[RuleOut]):
    """A page of rules."""


class RulesQuery(Paged):
    """Filters of the list of rules."""

    customer_id: OnlyCustomer = None
    name: OnlyName = None
    kind: Annotated[AlertKind | None, Field(description="Only rules of this kind.")] = None
    enabled: OnlyEnabled = None


@router.get("", operation_id="list_rules", summary="List rules", responses=problems())
async def list_rules(query: Annotated[RulesQuery, Query()], context: Context, _caller: Reader) -> RulePage:
    """Return rules in the order of their creation."""
    async with context.database.read() as tx:
        page = await page_rules(
            tx,
            query.window(RULES.prefix),
            customer_id=query.customer_id,
            name=query.name,
            kind=query.kind,
            enabled=query.enabled,
        )
    return RulePage.of(page)


@router.get("/{rule_id}", operation_id="get_rule", summary="Get a rule", responses=problems(404, 409))
async def get_rule(rule_id: PathId, response: Response, context: Context, _caller: Reader) -> RuleOut:
    """Return one rule."""
    async with context.database.read() as tx:
        rule = await RULES.get(tx, rule_id)
    put_etag(response, rule.version)
    return RuleOut.of(rule)


@router.post(
    "", operation_id="create_rule", summary="Create a rule", status_code=HTTP_201_CREATED, responses=problems(409)
)
async def create_rule(body: RuleCreate, response: Response, context: Context, caller: Admin) -> RuleOut:
    """Add a rule that decides which trouble opens an alert."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        rule = await admin_rules.create_rule(tx, body.to_rule(new_id("rul"), by.at), by)
    response.headers["Location"] = f"/v1/rules/{rule.id}"
    put_etag(response, rule.version)
    return RuleOut.of(rule)


@router.patch("/{rule_id}", operation_id="update_rule", summary="Update a rule", responses=problems(404, 409, 412))
async def update_rule(
    rule_id: PathId, body: RuleUpdate, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> RuleOut:
    """Replace the fields that are sent; the others stay as they are."""
    async with context.database.write() as tx:
        by = editor_of(context, caller, body.model_fields_set)
        rule = await admin_rules.update_rule(tx, rule_id, body.applied_to, by, versions=versions)
    put_etag(response, rule.version)
    return RuleOut.of(rule)


@router.delete(
    "/{rule_id}",
    operation_id="delete_rule",
    summary="Delete a rule",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_rule(rule_id: PathId, context: Context, caller: Admin, versions: IfMatch) -> None:
    """Delete a rule. What it matched is decided by the next rule from now on."""
    async with context.database.write() as tx:
        await admin_rules.delete_rule(tx, rule_id, editor_of(context, caller), versions=versions)
