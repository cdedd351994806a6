"""Rules over HTTP: which trouble opens an alert."""

from datetime import datetime
from typing import Self

from pydantic import Field, model_validator

from app.admin import rules
from app.domain.alert import AlertKind
from app.http.api.editable import Editable, router_of
from app.http.api.fields import YEAR_S, CustomerId, Id, MatcherModel, Matchers, Name, Position, Shown, StrictModel
from app.http.paging import Paged


class RuleIn(StrictModel):
    """A rule as it is given. The first that matches decides; a disabled one decides that no alert opens."""

    name: Name = Field(examples=["three warnings in a row"])
    customer_id: CustomerId = None
    position: Position = 100
    enabled: bool = Field(True, description="If false, what it matches opens no alert.")
    kind: AlertKind
    matchers: Matchers = Field(default_factory=list)
    after_in_row: int = Field(1, ge=1, le=1000, description="So many in a row open the alert.")
    retry_within_s: int = Field(
        0,
        ge=0,
        le=7 * 86400,
        description="A success within so many seconds closes the alert before anybody hears of it.",
    )
    silent_after_s: int | None = Field(
        None,
        ge=60,
        le=YEAR_S,
        description="For agent_silent: seconds without a word; null: such agents are never called silent.",
    )

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        if self.silent_after_s is not None and self.kind is not AlertKind.AGENT_SILENT:
            raise ValueError("silent_after_s is only for rules of kind agent_silent")
        return self


class Rule(Shown):
    """A rule."""

    name: str
    customer_id: str | None
    position: int
    enabled: bool
    kind: AlertKind
    matchers: list[MatcherModel]
    after_in_row: int
    retry_within_s: int
    silent_after_s: int | None
    created_at: datetime


class RulesQuery(Paged):
    """What the list can be asked."""

    customer_id: Id | None = None
    name: Name | None = None
    kind: AlertKind | None = None
    enabled: bool | None = None


router = router_of(Editable(path="rules", noun=rules.NOUN, query=RulesQuery, given=RuleIn, edit=RuleIn, shown=Rule))
