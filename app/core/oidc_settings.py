"""The settings of sign-in by an identity provider (OpenID Connect), and what the groups of the provider may do here."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from app.core.errors import BadSettings
from app.core.smtp_url import is_loopback

RoleName = Literal["reader", "operator", "administrator", "owner"]
_ROLES: dict[str, RoleName] = {
    "reader": "reader",
    "operator": "operator",
    "administrator": "administrator",
    "owner": "owner",
}
_ISSUER_LONGEST = 300  # with a subject of 255 characters it fits its column


@dataclass(frozen=True, slots=True)
class GroupGrant:
    """What the people of one group may do. `customers` are names or ids; None: every customer."""

    group: str
    role: RoleName
    customers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """The settings that begin with `oidc_`. `lets_new_in`: whether people whom nobody added may come in."""

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    scopes: str
    groups_claim: str
    grants: tuple[GroupGrant, ...]
    lets_new_in: bool
    links_by_email: bool
    label: str


def read_group_grants(text: str) -> tuple[GroupGrant, ...]:
    """Parse `group = role; group = role: customer, customer; ...`. The last `=` counts: a group of LDAP has some in its name. Raises ValueError."""
    grants = []
    for part in filter(str.strip, text.split(";")):
        group, equals, granted = part.rpartition("=")
        named, colon, listed = granted.partition(":")
        role = _ROLES.get(named.strip().lower())
        if not equals or not group.strip() or role is None:
            raise ValueError("each group needs a role, such as `backup-team = operator` or `acme-it = reader: Acme`")
        customers = tuple(one.strip() for one in listed.split(",") if one.strip()) if colon else None
        if customers == ():
            raise ValueError(f"no customer follows the colon of the group {group.strip()}")
        if role == "owner" and customers is not None:
            raise ValueError("an owner sees every customer: leave out the customers, or choose another role")
        grants.append(GroupGrant(group.strip(), role, customers))
    return tuple(grants)


def grant_for(grants: Collection[GroupGrant], groups: Collection[str]) -> GroupGrant | None:
    """Return what the groups of a person grant: the first grant that fits, with the customers of all others of the same role; None: nothing.

    Not the highest role with the most customers: a reader of everything who administers one customer must not administer all.
    """
    own = [grant for grant in grants if grant.group in groups]
    if not own:
        return None
    same = [grant.customers for grant in own if grant.role == own[0].role]
    if None in same:
        return GroupGrant(own[0].group, own[0].role)
    return GroupGrant(own[0].group, own[0].role, tuple(dict.fromkeys(one for part in same for one in part or ())))


def check_oidc(settings: OidcSettings | None, issuer: str | None, client_id: str | None) -> None:
    """Raise BadSettings where the settings of the identity provider do not fit together."""
    if settings is None:
        if issuer is not None or client_id is not None:
            raise BadSettings("TOCSIN_OIDC_ISSUER and TOCSIN_OIDC_CLIENT_ID: set both, or none")
        return
    parts = urlsplit(settings.issuer)
    is_local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or is_local) or parts.query or parts.fragment:
        raise BadSettings("TOCSIN_OIDC_ISSUER: must be an address that begins with https://")
    if len(settings.issuer) > _ISSUER_LONGEST:
        raise BadSettings(f"TOCSIN_OIDC_ISSUER: at most {_ISSUER_LONGEST} characters")
    if "openid" not in settings.scopes.split():
        raise BadSettings("TOCSIN_OIDC_SCOPES: must contain openid")
    if settings.lets_new_in and not settings.grants:
        raise BadSettings("TOCSIN_OIDC_NEW_PEOPLE: needs TOCSIN_OIDC_GROUPS, which says what they may do")
