"""The forms of the page Routing: what each kind of thing has, and how the fields of a form become what the API takes.

A form sends what a body of the API would have, so both are checked by the same models (http/api), with the same texts and bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData

from app.http.api.recipients import RecipientCreate, RecipientOut
from app.http.api.routes import RouteCreate, RouteOut
from app.http.api.rules import RuleCreate, RuleOut
from app.http.api.silences import SilenceCreate, SilenceOut
from app.http.api.summary_schedules import SummaryScheduleCreate, SummaryScheduleOut
from app.http.pages.session import text_of
from app.http.problems import code_of, field_of

M = TypeVar("M", bound=BaseModel)
_MATCHERS_MOST = 50
Values = dict[str, Any]  # the JSON of a thing, as the API has it


@dataclass(frozen=True, slots=True)
class RoutedKind:
    """A kind of thing on the page: its name in addresses, the fields of its form by their type, and its models in the API."""

    name: str
    create: type[BaseModel]
    out: type[BaseModel]
    flags: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ("name",)
    has_matchers: bool = True
    has_recipients: bool = False
    has_order: bool = False


KINDS: Mapping[str, RoutedKind] = {
    kind.name: kind
    for kind in (
        RoutedKind(
            "routes",
            RouteCreate,
            RouteOut,
            flags=("enabled", "send_recovery", "goes_on"),
            numbers=("position", "group_wait_s", "group_interval_s", "repeat_every_s"),
            has_recipients=True,
            has_order=True,
        ),
        RoutedKind(
            "rules",
            RuleCreate,
            RuleOut,
            flags=("enabled",),
            numbers=("position", "after_in_row", "retry_within_s", "silent_after_s"),
            texts=("name", "kind"),
            has_order=True,
        ),
        RoutedKind("recipients", RecipientCreate, RecipientOut, has_matchers=False),
        RoutedKind("silences", SilenceCreate, SilenceOut, flags=("until_fixed",), texts=("comment",)),
        RoutedKind(
            "summaries",
            SummaryScheduleCreate,
            SummaryScheduleOut,
            flags=("enabled",),
            numbers=("hour", "minute", "weekday", "month_day"),
            texts=("name", "every", "time_zone"),
            has_recipients=True,
        ),
    )
}
_OPTIONAL = ("repeat_every_s", "silent_after_s")  # empty means never, not the default
_MINUTES = {"repeat_every_s", "group_wait_s", "group_interval_s", "retry_within_s", "silent_after_s"}  # of a form


@dataclass(frozen=True, slots=True)
class FieldError:
    """Why one field of a form cannot be stored. `code` is that of the API."""

    field: str
    code: str
    detail: str


def values_of(kind: RoutedKind, thing: object) -> Values:
    """Return the values of a stored thing, for its form."""
    return kind.out.model_validate(thing, from_attributes=True).model_dump(mode="json")


def empty_values(kind: RoutedKind, zone: ZoneInfo) -> Values:
    """Return the values of a form for a new thing: the defaults of the API."""
    fields = kind.create.model_fields
    values = {
        name: None if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in fields.items()
    }
    lists: Values = {name: [] for name in ("matchers", "recipients", "transports") if name in fields}
    return {**values, **lists, **({"time_zone": zone.key} if "time_zone" in fields else {})}


def read_values(kind: RoutedKind, form: FormData, zone: ZoneInfo) -> Values:
    """Return the values that somebody entered, without the addresses of a recipient (recipient_rows.py). A field that cannot be read stays text, which the API's model refuses by its name."""
    values: Values = {name: text_of(form, name).strip() for name in kind.texts}
    values["customer_id"] = text_of(form, "customer_id") or None
    values |= {name: text_of(form, name) == "1" for name in kind.flags}
    values |= {name: _number(name, text_of(form, name).strip()) for name in kind.numbers}
    values = {name: value for name, value in values.items() if value != "" or name in ("name", "comment")}
    if kind.has_matchers:
        rows = zip(form.getlist("m_field"), form.getlist("m_test"), form.getlist("m_value"), strict=False)
        values["matchers"] = [
            {"field": str(field).strip(), "test": str(test), "value": str(value).strip()}
            for field, test, value in list(rows)[:_MATCHERS_MOST]
            if str(field).strip()
        ]
    if kind.has_recipients:
        values["recipients"] = [str(one) for one in form.getlist("recipient")]
    if kind.name == "silences":
        for name in ("starts_at", "ends_at"):
            values[name] = _moment(text_of(form, name), zone) or None
    return values


def checked(model: type[M], values: Values) -> M | list[FieldError]:
    """Return what the values mean, or why they cannot be stored."""
    try:
        return model.model_validate(values)
    except ValidationError as wrong:
        return errors_of(wrong)


def errors_of(wrong: ValidationError, place: tuple[str | int, ...] = ()) -> list[FieldError]:
    """Return the errors of a model that is at `place` in a form."""
    return [
        FieldError(
            field_of(("body", *place, *one["loc"])) or "",
            code_of(one["type"]),
            str(one["msg"]).removeprefix("Value error, "),
        )
        for one in wrong.errors()
    ]


def minutes_of(name: str, value: object) -> object:
    """Return how a number is shown in a form: spans in minutes."""
    return (
        value / 60
        if name in _MINUTES and isinstance(value, int) and value % 60
        else (value // 60 if name in _MINUTES and isinstance(value, int) else value)
    )


def local_text(value: object, zone: ZoneInfo) -> str:
    """Return a moment as a field of a form has it, `2026-11-27T18:00`, in the reader's zone."""
    if not isinstance(value, str) or not value:
        return ""
    try:
        return f"{datetime.fromisoformat(value).astimezone(zone):%Y-%m-%dT%H:%M}"
    except ValueError:
        return value


def _number(name: str, text: str) -> object:
    if not text:
        return None if name in _OPTIONAL else ""
    try:
        number = float(text.replace(",", ".")) * (60 if name in _MINUTES else 1)
        return int(number) if number == int(number) else number
    except (ValueError, OverflowError):  # no number, or `nan` or `inf`
        return text


def _moment(text: str, zone: ZoneInfo) -> str:
    """Return the moment of a form's field with its offset; a text that is none stays as it is."""
    try:
        at = datetime.fromisoformat(text[:40])
    except ValueError:
        return text
    return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).isoformat()
