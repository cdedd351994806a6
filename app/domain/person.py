"""A person who signs in: the role, the customers that it holds for, and how pages speak to them. Pure; no password is here."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LABEL_LONGEST = 200  # as columns of names are


class Role(StrEnum):
    """What somebody may do. Each may do what those before it may."""

    READER = "reader"  # sees
    OPERATOR = "operator"  # acknowledges, silences, closes, sends again
    ADMINISTRATOR = "administrator"  # edits what there is: customers, routes, rules, keys ...
    OWNER = "owner"  # decides who signs in

    def covers(self, least: "Role") -> bool:
        """Say whether this role may do what needs at least `least`."""
        order = list(Role)
        return order.index(self) >= order.index(least)


@dataclass(frozen=True, slots=True)
class Person:
    """One person. `customers` None means every customer; `language` and `zone` None mean what the browser and the settings say."""

    id: str
    name: str
    email: str  # in small letters; what a person signs in with
    role: Role
    created_at: datetime
    customers: tuple[str, ...] | None = None
    language: str | None = None
    zone: str | None = None
    disabled_at: datetime | None = None
    last_sign_in_at: datetime | None = None
    version: int = 1

    def label(self, *, has_namesake: bool) -> str:
        """Return the name as others read it; with the address where somebody else has the same name. At most 200 characters."""
        if not has_namesake:
            return self.name
        room = LABEL_LONGEST - len(self.email) - len(" <>")
        return f"{self.name[:room]} <{self.email}>" if room > 0 else self.email[:LABEL_LONGEST]

    def sees(self, customer_id: str | None) -> bool:
        """Say whether the person may see what belongs to a customer. What belongs to none is only for those who see all."""
        return self.customers is None or (customer_id is not None and customer_id in self.customers)
