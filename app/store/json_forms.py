"""The form of domain values in JSON columns: matchers, expectations, addresses. Only this file knows their keys."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from app.domain.expectation import Expectation
from app.domain.matcher import Comparison, Matcher
from app.domain.recipient import Address


def matchers_of(stored: Iterable[Mapping[str, str]]) -> tuple[Matcher, ...]:
    """Return the matchers that a column holds."""
    return tuple(Matcher(one["field"], Comparison(one["test"]), one["value"]) for one in stored)


def matchers_json(matchers: Iterable[Matcher]) -> list[dict[str, str]]:
    """Return matchers as a column holds them."""
    return [{"field": one.field, "test": one.test.value, "value": one.value} for one in matchers]


def addresses_of(stored: Iterable[Mapping[str, str]]) -> tuple[Address, ...]:
    """Return the addresses of a recipient that a column holds."""
    return tuple(Address(one["transport"], one["address"]) for one in stored)


def addresses_json(addresses: Iterable[Address]) -> list[dict[str, str]]:
    """Return the addresses of a recipient as a column holds them."""
    return [{"transport": one.transport, "address": one.address} for one in addresses]


def expectation_of(stored: Mapping[str, Any] | None) -> Expectation | None:
    """Return the expectation that a column holds, with durations in whole seconds; None where nothing is expected."""
    if stored is None:
        return None
    return Expectation(
        grace=timedelta(seconds=stored["grace_s"]),
        cron=stored["cron"],
        period=seconds_or_none(stored["period_s"]),
        time_zone=stored["time_zone"],
        longest=seconds_or_none(stored["longest_s"]),
    )


def expectation_json(expectation: Expectation | None) -> dict[str, Any] | None:
    """Return an expectation as a column holds it."""
    if expectation is None:
        return None
    return {
        "cron": expectation.cron,
        "period_s": whole_seconds(expectation.period),
        "time_zone": expectation.time_zone,
        "grace_s": whole_seconds(expectation.grace),
        "longest_s": whole_seconds(expectation.longest),
    }


def whole_seconds(length: timedelta | None) -> int | None:
    """Return a duration as a column holds it."""
    return None if length is None else round(length.total_seconds())


def seconds_or_none(stored: int | None) -> timedelta | None:
    """Return the duration that a column of seconds holds; None if it is empty."""
    return None if stored is None else timedelta(seconds=stored)
