"""Who somebody is, as an identity provider confirms it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """`auth_time`: when they last signed in at the provider, in seconds since 1970, if it says so."""

    issuer: str
    subject: str
    email: str | None
    is_email_verified: bool | None
    name: str | None
    groups: tuple[str, ...]
    auth_time: int | None

    @property
    def external_id(self) -> str:
        """Issuer and subject, which together never change and are never given to somebody else (OpenID Connect Core 1.0 section 5.7)."""
        return f"{self.issuer} {self.subject}"


@dataclass(frozen=True, slots=True)
class Flow:
    """What one authorization request and its callback share; the browser keeps it encrypted."""

    state: str
    nonce: str
    verifier: str
