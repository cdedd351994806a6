"""The types of fields in administrative requests and answers. Those of requests are bounded, so that nothing absurd reaches a stage or a database."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Self, TypeVar, cast

from fastapi import Path
from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
)

from app.core.settings import TimeZone
from app.core.unseen import plain_name, show_unseen, without_unseen
from app.domain.matcher import FIELDS, Comparison, Matcher

M = TypeVar("M", bound=BaseModel)
YEAR_S = 366 * 86400


def _changed_by(change: Callable[[str], str]) -> BeforeValidator:
    return BeforeValidator(lambda value: change(value) if isinstance(value, str) else value)


Id = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}_[0-9a-f]{28}$")]
OutId = Annotated[str, Field(description="Its id.")]
Version = Annotated[int, Field(description="Grows with each edit; the ETag is made of it.")]
CreatedAt = Annotated[datetime, Field(description="When it was created.")]
PathId = Annotated[str, Path(pattern=r"^[a-z]{3}_[0-9a-f]{28}$", description="The id, as the list shows it.")]
# A line end in a name would become a line in a mail's header, and with an unseen character one customer reads as another.
Name = Annotated[str, _changed_by(plain_name), StringConstraints(min_length=1, max_length=200)]
Words = Annotated[
    str,
    _changed_by(show_unseen),
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=r"^[^\x00]+$"),
]
Value = Annotated[str, _changed_by(without_unseen), StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
Zone = Annotated[
    TimeZone,
    Field(
        max_length=64,
        description="A time zone of the IANA database or of Windows; the answer has its IANA name.",
        examples=["Europe/Berlin"],
    ),
]
Labels = Annotated[
    dict[
        Annotated[str, _changed_by(plain_name), StringConstraints(min_length=1, max_length=100)],
        Annotated[str, _changed_by(plain_name), StringConstraints(max_length=500)],
    ],
    Field(max_length=64, description="Names and values of your own, for matchers.", examples=[{"site": "hq"}]),
]
CustomerId = Annotated[Id | None, Field(description="The customer to which it applies; null: every customer.")]
Position = Annotated[
    int, Field(ge=0, le=1_000_000, description="Its place in the order in which they are tried, lowest first.")
]
_LABEL = r"label:[^\x00-\x1f\x7f]{1,100}"


class StrictModel(BaseModel):
    """What a client sends. An unknown field is refused: a misspelled one would otherwise be ignored without a word."""

    model_config = ConfigDict(extra="forbid")


class OutModel(BaseModel):
    """What we answer with: the attributes of a domain type, by the same names."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, thing: object) -> Self:
        """Return the schema of a domain object."""
        return cls.model_validate(thing)


def left_out() -> Any:  # noqa: ANN401  (the default of a field of any type)
    """Return the default of a field of an update: it may be left out, and then stays as it is. Null is sent, not left out."""
    return Field(default_factory=lambda: None)


def merged(whole: type[M], present: BaseModel, sent: BaseModel) -> M:
    """Return a thing as it will be after an update: what was sent, and the present values of what was left out.

    It is validated as a whole, because a rule that spans two fields must hold when only one of them is sent. Raises
    RequestValidationError.
    """
    values = present.model_dump(include=set(whole.model_fields)) | sent.model_dump(exclude_unset=True)
    try:
        return whole.model_validate(values)
    except ValidationError as wrong:
        raise RequestValidationError(wrong.errors()) from wrong


def example(**values: object) -> dict[str, JsonValue]:
    """Return the part of a schema that shows an example of a request body."""
    return {"examples": [cast("JsonValue", values)]}


def _seconds(value: object) -> object:
    return round(value.total_seconds()) if isinstance(value, timedelta) else value


Seconds = Annotated[int, BeforeValidator(_seconds)]  # of an OutModel: a duration of the domain, in whole seconds
OptionalSeconds = Annotated[int | None, BeforeValidator(_seconds)]


def seconds_or_none(seconds: int | None) -> timedelta | None:
    """Return a duration that was sent in seconds, or None."""
    return None if seconds is None else timedelta(seconds=seconds)


_MATCHER_FIELD = f"One of {', '.join(FIELDS)}, or `label:NAME`."


class MatcherIn(StrictModel, json_schema_extra=example(field="job", test="like", value="nightly-*")):
    """A condition. `is` and `is_not` compare whole values, `like` and `not_like` take `*` and `?`; case does not matter."""

    field: str = Field(pattern=rf"^({'|'.join(FIELDS)}|{_LABEL})$", description=_MATCHER_FIELD)
    test: Annotated[Comparison, Field(description="How the field is compared with the value.")] = Comparison.IS
    value: Annotated[Value, Field(description="What it is compared with.")]

    def to_matcher(self) -> Matcher:
        """Return the matcher."""
        return Matcher(self.field, self.test, self.value)


class MatcherOut(OutModel):
    """A condition. `is` and `is_not` compare whole values, `like` and `not_like` take `*` and `?`; case does not matter."""

    field: str = Field(description=_MATCHER_FIELD)
    test: Comparison = Field(description="How the field is compared with the value.")
    value: str = Field(description="What it is compared with.")


def to_matchers(sent: Sequence[MatcherIn]) -> tuple[Matcher, ...]:
    """Return the matchers that were sent."""
    return tuple(one.to_matcher() for one in sent)


def once_each(values: list[str]) -> list[str]:
    """Return the values without repetitions, in their order."""
    return list(dict.fromkeys(values))


Matchers = Annotated[
    list[MatcherIn], Field(max_length=50, description="All of them must be met; an empty list matches everything.")
]
Recipients = Annotated[
    list[Id], Field(min_length=1, max_length=50, description="Ids of recipients."), AfterValidator(once_each)
]
OutMatchers = Annotated[
    list[MatcherOut], Field(description="All of them must be met; an empty list matches everything.")
]
OutRecipients = Annotated[list[str], Field(description="Ids of recipients.")]
OutCustomerId = Annotated[str | None, Field(description="The customer to which it applies; null: every customer.")]
OutName = Annotated[str, Field(description="Its name.")]
OutPosition = Annotated[int, Field(description="Its place in the order in which they are tried, lowest first.")]
OnlyCustomer = Annotated[Id | None, Field(description="Only those of this customer.")]
OnlyName = Annotated[Name | None, Field(description="Only the one with this name.")]
OnlyEnabled = Annotated[bool | None, Field(description="Only enabled or only disabled ones.")]
