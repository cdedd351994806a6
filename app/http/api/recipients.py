"""Recipients over HTTP: who is notified, and by which transports."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Annotated, Self, TypeVar

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, BeforeValidator, Field, JsonValue, StringConstraints, ValidationError, model_validator
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import recipients as admin_recipients
from app.context import AppContext
from app.core.errors import BadInput
from app.core.ids import new_id
from app.deliver.transports.webhook import signing_secret
from app.domain.message import takes_json
from app.domain.person import Role
from app.domain.recipient import Address, Recipient, shown_address
from app.domain.transport_options import AnyTransport
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import (
    CreatedAt,
    CustomerId,
    Name,
    OnlyCustomer,
    OnlyName,
    OutCustomerId,
    OutId,
    OutModel,
    OutName,
    PathId,
    StrictModel,
    Version,
    example,
    left_out,
    merged,
)
from app.http.api.program_addresses import check_program_address, refuse_ourselves
from app.http.api.transport_options import Options, sealed_options, shown_options, with_kind
from app.http.auth import Caller
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.http.problems import field_of
from app.store.returned_mails import all_bounced_addresses
from app.store.routing import RECIPIENTS, page_recipients

router = APIRouter(prefix="/v1/recipients", tags=["recipients"])

_PART = r"[^\s<>()\[\],;:@\\\"\x00-\x1f\x7f-\x9f]+"
_MAIL = re.compile(rf"(?=.{{3,254}}$){_PART}@{_PART}")
_TRANSPORTS = "First choice first; the next is used when one cannot send."


class AddressIn(StrictModel, json_schema_extra=example(transport="smtp", address="admin@example.org")):
    """One way to reach a recipient: a mail address for smtp, graph, mapi and file, a URL for transports to programs."""

    transport: AnyTransport = Field(description="How it is sent.")
    address: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)] = Field(
        examples=["admin@example.org"],
        description=(
            "Where it is sent. A URL for a program: https; plain http only to an address in a private network. "
            "alertmanager: one URL for each Alertmanager, with spaces between them. "
            "pagerduty: https://events.pagerduty.com/v2/enqueue. opsgenie: https://api.opsgenie.com. "
            "syslog: `tls://`, `tcp://` or `udp://` and a host. snmp: `snmp://host`. icinga2: the URL of its API. "
            "nagios: the URL of NRDP. zabbix: `zabbix://host`. apprise: a name of your choice."
        ),
    )
    options: Options | None = Field(
        None, description="What a transport to a program needs next to the address. Secrets are never returned."
    )

    @model_validator(mode="before")
    @classmethod
    def _name_the_options(cls, values: object) -> object:
        return with_kind(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _fits_its_transport(self) -> Self:
        if not takes_json(self.transport):
            if _MAIL.fullmatch(self.address) is None:
                raise ValueError("address is not a mail address")
        else:
            check_program_address(self.transport, self.address)
        return self


def checked_address(transport: str, address: str) -> str:
    """Return an address without spaces around it, for a transport without options. Raises BadInput with the rule that it breaks."""
    return _validated(transport, address, None).address


def tested_address(
    transport: str,
    address: str,
    options: Mapping[str, JsonValue] | None,
    context: AppContext,
    before: Sequence[Address],
) -> Address:
    """Return an address of the domain; options that are left out are those of the same address in `before`.

    Raises BadInput with the rule that it breaks.
    """
    to = to_address(_validated(transport, address, options), context, before)
    return to if options is not None else next((one for one in before if one == to), to)


def _validated(transport: str, address: str, options: Mapping[str, JsonValue] | None) -> AddressIn:
    try:
        return AddressIn.model_validate({"transport": transport, "address": address, "options": options})
    except ValidationError as wrong:
        first = wrong.errors()[0]
        field = field_of(first["loc"]) or "address"
        raise BadInput(first["msg"].removeprefix("Value error, "), field=field) from None


def to_address(sent: AddressIn, context: AppContext, before: Sequence[Address] = ()) -> Address:
    """Return an address of the domain, its secrets sealed; one that is not sent is kept from the same address in `before`. Raises BadInput."""
    refuse_ourselves(sent.address, context.settings.public_url)
    if sent.options is None:
        return Address(sent.transport, sent.address)
    # Only from the same address: whoever may change an address could otherwise have the secret sent to a host of their own.
    known = next((one.options for one in before if one == Address(sent.transport, sent.address)), None)
    return Address(sent.transport, sent.address, sealed_options(sent.options, context.secret.seal, known))


RecipientName = Annotated[Name, Field(description="Its name, unique among recipients.", examples=["on call"])]
RecipientTransports = Annotated[list[AddressIn], Field(min_length=1, max_length=10, description=_TRANSPORTS)]


class RecipientCreate(
    StrictModel,
    json_schema_extra=example(
        name="on call",
        transports=[
            {"transport": "smtp", "address": "admin@example.org"},
            {"transport": "webhook", "address": "https://hooks.example.org/tocsin"},
        ],
    ),
):
    """A recipient to create."""

    name: RecipientName
    customer_id: CustomerId = None
    transports: RecipientTransports

    def to_recipient(
        self, recipient_id: str, at: datetime | None, context: AppContext, before: Sequence[Address] = ()
    ) -> Recipient:
        """Return the recipient, created at `at`. Secrets that are not sent are those of `before`."""
        return Recipient(
            id=recipient_id,
            name=self.name,
            customer_id=self.customer_id,
            transports=tuple(to_address(one, context, before) for one in self.transports),
            created_at=at,
        )


class RecipientUpdate(StrictModel, json_schema_extra=example(name="day shift")):
    """The fields of a recipient to change; a field that is left out stays as it is."""

    name: RecipientName = left_out()
    customer_id: CustomerId = left_out()
    transports: RecipientTransports = left_out()

    def applied_to(self, context: AppContext, recipient: Recipient) -> Recipient:
        """Return the recipient with the fields that were sent. Raises RequestValidationError."""
        whole = merged(RecipientCreate, RecipientOut.of(recipient), self)
        return replace(
            whole.to_recipient(recipient.id, recipient.created_at, context, recipient.transports),
            follows_settings=recipient.follows_settings,
            version=recipient.version,
        )


class AddressOut(OutModel):
    """One way to reach a recipient: a mail address for smtp, graph, mapi and file, a URL for transports to programs."""

    transport: str = Field(
        description="How it is sent: smtp, graph, file, mapi, or the name of a transport to a program."
    )
    address: str = Field(
        description="Where it is sent. Who is no administrator sees of a URL only the host and the start of the path, because the rest can be a secret."
    )
    options: Annotated[Options | None, BeforeValidator(shown_options)] = Field(
        None,
        exclude_if=lambda options: options is None,
        description="What a transport to a program needs next to the address; `set` stands for a secret. Left out where there are none.",
    )


class RecipientOut(OutModel):
    """A recipient."""

    id: OutId
    version: Version
    name: OutName
    customer_id: OutCustomerId
    transports: list[AddressOut] = Field(description=_TRANSPORTS)
    follows_settings: bool = Field(
        description="Whether its transports still come from TOCSIN_SMTP_URL, TOCSIN_GRAPH_MAILBOX and TOCSIN_ADMIN_EMAIL."
    )
    created_at: CreatedAt


class BouncedAddressOut(OutModel):
    """An address of a recipient of which the last mail came back."""

    address: str = Field(description="The address, in lower case.")
    in_a_row: int = Field(description="How many mails to it came back, without one in between that did not.")
    status: str = Field(description="The status of the last one (RFC 3463), such as 5.1.1; empty if it had none.")
    words: str = Field(description="The reason in the words of the other side.")
    first_at: datetime = Field(description="When the first of them came back.")
    last_at: datetime = Field(description="When the last one came back.")
    fails: bool = Field(
        description="Whether it counts as an address that fails permanently: another address of the recipient is used, and an alert reports it."
    )


class RecipientDetailOut(RecipientOut):
    """A recipient, and those of its addresses to which mail comes back."""

    bounced: list[BouncedAddressOut] = Field(description="Its addresses of which the last mail came back.")


Shown = TypeVar("Shown", bound=RecipientOut)


class RecipientPage(PageOut[RecipientOut]):
    """A page of recipients."""


class RecipientsQuery(Paged):
    """Filters of the list of recipients."""

    customer_id: OnlyCustomer = None
    name: OnlyName = None


class SigningSecret(BaseModel):
    """What the receiver of a webhook checks our signature with (Standard Webhooks)."""

    secret: str = Field(description="The secret.", examples=["whsec_..."])


def _seen_by(caller: Caller, shown: Shown) -> Shown:
    """Return a recipient as the caller may see it: who may not change it sees no part of a URL that can be a secret."""
    if caller.has_role(Role.ADMINISTRATOR):
        return shown
    hidden = [one.model_copy(update={"address": shown_address(one.address)}) for one in shown.transports]
    return shown.model_copy(update={"transports": hidden})


@router.get("", operation_id="list_recipients", summary="List recipients", responses=problems())
async def list_recipients(
    query: Annotated[RecipientsQuery, Query()], context: Context, caller: Reader
) -> RecipientPage:
    """Return recipients in the order of their creation."""
    async with context.database.read() as tx:
        window = query.window(RECIPIENTS.prefix)
        page = await page_recipients(tx, window, customer_id=query.customer_id, name=query.name)
    found = RecipientPage.of(page)
    return found.model_copy(update={"items": [_seen_by(caller, one) for one in found.items]})


@router.get("/{recipient_id}", operation_id="get_recipient", summary="Get a recipient", responses=problems(404, 409))
async def get_recipient(
    recipient_id: PathId, response: Response, context: Context, caller: Reader
) -> RecipientDetailOut:
    """Return one recipient, with its addresses to which mail comes back."""
    async with context.database.read() as tx:
        recipient = await RECIPIENTS.get(tx, recipient_id)
        bounced = await all_bounced_addresses(tx)
    put_etag(response, recipient.version)
    own = {to.address.lower() for to in recipient.transports}
    found = [BouncedAddressOut.of(one) for one in bounced if one.address in own]
    return _seen_by(caller, RecipientDetailOut(**RecipientOut.of(recipient).model_dump(), bounced=found))


@router.post(
    "",
    operation_id="create_recipient",
    summary="Create a recipient",
    status_code=HTTP_201_CREATED,
    responses=problems(409),
)
async def create_recipient(body: RecipientCreate, response: Response, context: Context, caller: Admin) -> RecipientOut:
    """Add a recipient, to which routes and summary schedules can then lead."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        recipient = await admin_recipients.create_recipient(tx, body.to_recipient(new_id("rcp"), by.at, context), by)
    response.headers["Location"] = f"/v1/recipients/{recipient.id}"
    put_etag(response, recipient.version)
    return RecipientOut.of(recipient)


@router.patch(
    "/{recipient_id}", operation_id="update_recipient", summary="Update a recipient", responses=problems(404, 409, 412)
)
async def update_recipient(
    recipient_id: PathId,
    body: RecipientUpdate,
    response: Response,
    context: Context,
    caller: Admin,
    versions: IfMatch,
) -> RecipientOut:
    """Replace the fields that are sent; the others stay as they are.

    Alerts that wait for an address which the recipient no longer has take its next transport.
    """
    async with context.database.write() as tx:
        by = editor_of(context, caller, body.model_fields_set)
        recipient = await admin_recipients.update_recipient(
            tx, recipient_id, partial(body.applied_to, context), by, versions=versions
        )
    put_etag(response, recipient.version)
    return RecipientOut.of(recipient)


@router.delete(
    "/{recipient_id}",
    operation_id="delete_recipient",
    summary="Delete a recipient",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_recipient(recipient_id: PathId, context: Context, caller: Admin, versions: IfMatch) -> None:
    """Delete a recipient; refused (409) while a route or summary schedule leads to it."""
    async with context.database.write() as tx:
        await admin_recipients.delete_recipient(tx, recipient_id, editor_of(context, caller), versions=versions)


@router.get(
    "/{recipient_id}/webhook-secret",
    operation_id="get_webhook_secret",
    summary="Get a recipient's webhook signing secret",
    responses=problems(404),
)
async def get_webhook_secret(recipient_id: PathId, context: Context, _caller: Admin) -> SigningSecret:
    """Return the secret that every webhook to this recipient is signed with."""
    async with context.database.read() as tx:
        await RECIPIENTS.get(tx, recipient_id)
    return SigningSecret(secret=signing_secret(context.secret.derive("webhook"), recipient_id))
