"""Who somebody is, as an identity provider says it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """`auth_time`: when they last showed the provider who they are, in seconds since 1970, if it says so."""

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
    """What a browser keeps while somebody signs in at the provider."""

    state: str
    nonce: str
    verifier: str
