"""What `tocsin doctor` says about the access to Microsoft 365 and Google: whether it gets a token, and when the certificate or secret expires."""

from collections.abc import Iterator
from datetime import datetime

from app.core.errors import BadSettings
from app.core.mail_address import split_address
from app.core.oauth_settings import credential_end
from app.core.settings import Settings
from app.deliver.access_tokens import Purpose, TokenRefused, build_access_tokens
from app.domain.credential import Credential


async def access_troubles(settings: Settings, now: datetime) -> list[str]:
    """Ask for a token for `graph`, and return what is wrong. Nothing is sent. The login at SMTP servers is tried by `mail_server_check`."""
    troubles = []
    tokens = build_access_tokens(settings, Purpose.GRAPH)
    if settings.graph_mailbox is not None and tokens is not None:
        try:
            await tokens.token()
        except TokenRefused as refused:
            troubles.append(f"The transport graph gets no access token: {refused.text}.")
    try:
        end = credential_end(settings.oauth)
    except BadSettings as cause:
        return [*troubles, f"{cause.detail}."]
    trouble = None if end is None else Credential(*end).trouble(now)
    return troubles if trouble is None else [*troubles, f"{trouble[:1].upper()}{trouble[1:]}."]


def access_notes(settings: Settings) -> Iterator[str]:
    """Return what is worth knowing and not wrong."""
    if settings.oauth_client_secret is not None and settings.oauth_secret_expires is None:
        yield "Tocsin cannot warn you before the secret in TOCSIN_OAUTH_CLIENT_SECRET expires: set TOCSIN_OAUTH_SECRET_EXPIRES to its last day, if it has one."
    if settings.graph_mailbox is None:
        return
    sender = split_address(settings.mail_from)[1]
    if sender.lower() != settings.graph_mailbox.lower():
        yield f"Mails have the sender {sender}, but are sent from the mailbox {settings.graph_mailbox}: Exchange Online refuses them unless that mailbox may send as this address (Send As)."
    yield "Only a test mail shows whether Tocsin may send by Exchange Online, as the permission Mail.Send allows no other request. Run `tocsin send-test --transport graph --to you@example.org`."
