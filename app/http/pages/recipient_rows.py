"""The rows of a recipient's form: one for each address, with the fields of its transport.

A row becomes what a body of the API has, so both are stored alike. A secret is never shown: an empty field keeps the one that is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import FormData

from app.context import AppContext
from app.core.errors import BadInput
from app.domain.recipient import Address
from app.domain.transport_options import OPTIONS
from app.http.api.recipients import AddressIn, RecipientCreate, to_address
from app.http.pages.routing_forms import FieldError, Values, checked, errors_of
from app.http.pages.session import text_of
from app.http.pages.transport_fields import TRANSPORT_FIELDS, FieldKind, OptionField

_ROWS_MOST = 12  # of a form; the API refuses more than 10 addresses
_KEEP = "set"  # in the API, it stands for a secret that stays as it is
_SECRETS = (FieldKind.HIDDEN, FieldKind.HIDDEN_PAIRS)
_MORE = "  "  # begins a line that continues the value of the line before


@dataclass(frozen=True, slots=True)
class AddressRow:
    """One row. `texts` may hold secrets that were just entered: pages show a field by `shown` only."""

    transport: str
    address: str = ""
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    stored_secrets: frozenset[str] = frozenset()  # names of fields
    fields_of: str = ""  # the transport whose fields the form had

    @property
    def fields(self) -> tuple[OptionField, ...]:
        """The fields of its transport."""
        return TRANSPORT_FIELDS.get(self.transport, ())

    @property
    def lacks_fields(self) -> bool:
        """Whether the form did not have the fields of its transport, because another one was chosen."""
        return bool(self.fields) and self.fields_of != self.transport

    @property
    def has_new_secret(self) -> bool:
        """Whether a secret was entered, which is lost when the form is shown again."""
        return any(self.texts.get(one.name, "") != self.shown(one) for one in self.fields if one.kind in _SECRETS)

    def shown(self, option: OptionField) -> str:
        """Return the text of a field for the page: of secrets none, of pairs with secrets the names."""
        text = self.texts.get(option.name, "")
        match option.kind:
            case FieldKind.HIDDEN:
                return ""
            case FieldKind.HIDDEN_PAIRS:
                lines = (line.partition(":") for line in text.split("\n"))
                return "\n".join(f"{name.strip()}:" for name, colon, _value in lines if colon)
            case _:
                return text

    def to_values(self) -> Values:
        """Return the row as the API takes it. An option that is left at its default is left out."""
        options = {one.name: value for one in self.fields if (value := self._sent(one)) is not None}
        options_sent = {"options": options} if options else {}
        return {"transport": self.transport, "address": self.address, **options_sent}

    def _sent(self, option: OptionField) -> object:
        text, is_stored = self.texts.get(option.name, ""), option.name in self.stored_secrets
        match option.kind:
            case FieldKind.HIDDEN:
                return text or (_KEEP if is_stored else None)
            case FieldKind.HIDDEN_PAIRS:
                return _pairs(text, when_empty=_KEEP) if text.strip() or is_stored else None
            case FieldKind.PAIRS:
                return _pairs(text, when_empty="") if text.strip() else None
            case _:
                stripped = text.strip()
                return None if stripped in ("", _defaults(self.transport)[option.name]) else stripped


def stored_rows(transports: Sequence[Mapping[str, Any]]) -> list[AddressRow]:
    """Return the rows of stored addresses, from the JSON of the API, in which `set` stands for a secret."""
    rows = []
    for address in transports:
        transport, options = str(address["transport"]), address.get("options") or {}
        fields = TRANSPORT_FIELDS.get(transport, ())
        texts = _defaults(transport) | {
            one.name: _text(one, options[one.name]) for one in fields if options.get(one.name) is not None
        }
        secrets = frozenset(one.name for one in fields if one.kind in _SECRETS and options.get(one.name))
        rows.append(AddressRow(transport, str(address["address"]), texts, secrets, transport))
    return rows


def read_rows(form: FormData) -> list[AddressRow]:
    """Return the rows of a form that somebody sent, without those that are empty or to be removed."""
    rows = []
    shown = [str(one) for one in form.getlist("fields_of")]
    pairs = zip(form.getlist("transport"), form.getlist("address"), strict=False)
    for number, (transport, address) in enumerate(list(pairs)[:_ROWS_MOST]):
        name, fields_of = str(transport), shown[number] if number < len(shown) else ""
        row = AddressRow(name, str(address).strip(), fields_of=fields_of, texts=_defaults(name))
        if row.fields and not row.lacks_fields:
            texts = {one.name: text_of(form, f"{number}.{one.name}").replace("\r\n", "\n") for one in row.fields}
            secrets = frozenset(str(one) for one in form.getlist(f"{number}.stored"))
            row = AddressRow(name, row.address, texts, secrets, fields_of)
        if name and (row.address or row.fields):
            rows.append(row)
    return rows


def checked_recipient(
    values: Values, rows: Sequence[AddressRow], context: AppContext, before: Sequence[Address]
) -> RecipientCreate | list[FieldError]:
    """Return the recipient that a form means, or why it cannot be stored: each error with its row and field."""
    wrong = [error for number, row in enumerate(rows) for error in _row_errors(number, row, context, before)]
    if not wrong:
        return checked(RecipientCreate, values)
    others = checked(RecipientCreate, {**values, "transports": [{"transport": "file", "address": "a@example.org"}]})
    return [*(others if isinstance(others, list) else ()), *wrong]


def row_place(error: FieldError, rows: Sequence[AddressRow]) -> tuple[int, str] | None:
    """Return the row and the field that an error is about, such as (0, "facility"); None where it is about no row."""
    head, bracket, rest = error.field.partition("]")
    number = head.removeprefix("transports[")
    if not bracket or not number.isdecimal() or int(number) >= len(rows):
        return None
    row = rows[int(number)]
    name = rest.removeprefix(".options").removeprefix(f".{row.transport}").lstrip(".")
    if name in ("", "address"):
        return int(number), "address"
    own = next((one.name for one in row.fields if name == one.name or name.startswith(one.name + ".")), None)
    # A secret header that is not known is named by its own name.
    pairs = next((one.name for one in row.fields if one.kind is FieldKind.HIDDEN_PAIRS), "address")
    return int(number), own or pairs


def _row_errors(number: int, row: AddressRow, context: AppContext, before: Sequence[Address]) -> list[FieldError]:
    try:
        to_address(AddressIn.model_validate(row.to_values()), context, before)
    except ValidationError as wrong:
        return errors_of(wrong, ("transports", number))
    except BadInput as wrong:
        return [FieldError(f"transports[{number}].{wrong.field or 'address'}", "bad_value", wrong.detail)]
    return []


def _defaults(transport: str) -> dict[str, str]:
    if transport not in OPTIONS:
        return {}
    options = OPTIONS[transport]()
    return {one.name: _text(one, getattr(options, one.name)) for one in TRANSPORT_FIELDS.get(transport, ())}


def _text(option: OptionField, value: object) -> str:
    is_secret = option.kind in _SECRETS
    if isinstance(value, Mapping):
        lines = (f"{name}:" if is_secret else f"{name}: {one}" for name, one in sorted(value.items()))
        return "\n".join(line.replace("\n", "\n" + _MORE) for line in lines)
    return "" if value is None or is_secret else str(value)


def _pairs(text: str, *, when_empty: str) -> dict[str, str] | str:
    """Return the pairs of lines such as `NAME: VALUE`; the text itself, which the API's model refuses, where a line is none."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if found and line.startswith(_MORE):
            found[list(found)[-1]] += "\n" + line.removeprefix(_MORE)
        elif line.strip():
            name, colon, value = line.partition(":")
            if not colon or name.strip() in found:
                return text
            found[name.strip()] = value.strip()
    return {name: value.rstrip() or when_empty for name, value in found.items()}
