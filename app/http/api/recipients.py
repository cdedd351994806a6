"""Recipients over HTTP: who is told, and how."""

import ipaddress
import re
from datetime import datetime
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, StringConstraints, ValidationError, model_validator

from app.admin import recipients
from app.core.errors import BadInput, NotFound
from app.deliver.transports.webhook import signing_secret
from app.http.api.dependencies import Admin, Context, problems
from app.http.api.editable import Editable, router_of
from app.http.api.fields import CustomerId, Id, Name, PathId, Shown, StrictModel
from app.http.paging import Paged

_PART = r"[^\s<>()\[\],;:@\\\"\x00-\x1f\x7f-\x9f]+"
_MAIL = re.compile(rf"(?=.{{3,254}}$){_PART}@{_PART}")


class TransportModel(StrictModel):
    """One way to reach a recipient: a mail address for smtp, mapi and file, a URL for webhook."""

    transport: Literal["smtp", "webhook", "file", "mapi"]
    address: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)] = Field(
        examples=["admin@example.org"],
        description="webhook: https; plain http only to an address in a private network.",
    )

    @model_validator(mode="after")
    def _fits_its_transport(self) -> Self:
        if self.transport == "webhook":
            _check_url(self.address)
        elif _MAIL.fullmatch(self.address) is None:
            raise ValueError("address is not a mail address")
        return self


def checked_address(transport: str, address: str) -> str:
    """Give an address without spaces around it. Raises BadInput with the rule that it breaks."""
    try:
        return TransportModel.model_validate({"transport": transport, "address": address}).address
    except ValidationError as wrong:
        raise BadInput(wrong.errors()[0]["msg"].removeprefix("Value error, "), field="address") from None


class RecipientIn(StrictModel):
    """A recipient as it is given."""

    name: Name = Field(examples=["on call"])
    customer_id: CustomerId = None
    transports: list[TransportModel] = Field(
        min_length=1, max_length=10, description="First choice first; the next is taken where one cannot send."
    )


class Recipient(Shown):
    """A recipient."""

    name: str
    customer_id: str | None
    transports: list[TransportModel]
    follows_settings: bool = Field(
        description="Whether its transports still come from TOCSIN_SMTP_URL and TOCSIN_ADMIN_EMAIL."
    )
    created_at: datetime


class RecipientsQuery(Paged):
    """What the list can be asked."""

    customer_id: Id | None = None
    name: Name | None = None


class SigningSecret(BaseModel):
    """What a webhook's receiver checks our signature with (Standard Webhooks)."""

    secret: str = Field(examples=["whsec_..."])


router = router_of(
    Editable(
        path="recipients",
        noun=recipients.NOUN,
        query=RecipientsQuery,
        given=RecipientIn,
        edit=RecipientIn,
        shown=Recipient,
        deletion="Deletes it; refused (409) while a route or a summary schedule leads to it.",
    )
)


@router.get("/{thing_id}/webhook-secret", summary="Get a recipient's webhook signing secret", responses=problems(404))
async def get_webhook_secret(thing_id: PathId, context: Context, _caller: Admin) -> SigningSecret:
    """Give the secret that every webhook to this recipient is signed with."""
    async with context.database.read() as tx:
        found = await recipients.NOUN.records.find(tx, thing_id)
    if found is None:
        raise NotFound(f"there is no recipient {thing_id}")
    return SigningSecret(secret=signing_secret(context.secret.derive("webhook"), thing_id))


def _check_url(address: str) -> None:
    url = urlsplit(address)  # ValueError for what is none
    if not url.hostname or url.username or url.password or re.search(r"[\x00-\x20\x7f]", address):
        raise ValueError("address is not a URL that we call")
    if url.scheme != "https" and not (url.scheme == "http" and _is_near(url.hostname)):
        raise ValueError("address must begin with https://; http:// only with an IP address of a private network")


def _is_near(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost"
