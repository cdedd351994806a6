"""Mail rules over HTTP: what a mail of a tool that can only mail means."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.admin import mail_rules
from app.domain.event import Activity
from app.http.api.editable import Editable, router_of
from app.http.api.fields import CustomerId, Id, Name, Position, Shown, StrictModel, Value
from app.http.paging import Paged

Outcome = Literal["success", "warning", "failure", "cancelled"]


class MailRuleIn(StrictModel):
    """A mail rule as it is given. The first that fits a subject decides; where none does, we know the subjects of many tools."""

    name: Name = Field(examples=["Arcserve failures"])
    customer_id: CustomerId = None
    position: Position = 100
    enabled: bool = True
    subject: Value = Field(
        min_length=1,
        description="A glob over the subject, whatever its case; `*` is any text.",
        examples=["*job * failed*"],
    )
    outcome: Outcome
    activity: Activity = Activity.BACKUP
    job: Name | None = Field(
        None,
        description="The job's name; `{1}` is what the first `*` stood for. Null: the job of the key, else the sender.",
        examples=["{2}"],
    )


class MailRule(Shown):
    """A mail rule."""

    name: str
    customer_id: str | None
    position: int
    enabled: bool
    subject: str
    outcome: Outcome
    activity: Activity
    job: str | None
    created_at: datetime


class MailRulesQuery(Paged):
    """What the list can be asked."""

    customer_id: Id | None = None
    name: Name | None = None
    enabled: bool | None = None


router = router_of(
    Editable(
        path="mail-rules",
        noun=mail_rules.NOUN,
        query=MailRulesQuery,
        given=MailRuleIn,
        edit=MailRuleIn,
        shown=MailRule,
    )
)
