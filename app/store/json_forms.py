"""How domain values lie in JSON columns: matchers, expectations, addresses. The only place that knows their keys."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from app.domain.expectation import Expectation
from app.domain.matcher import Matcher, Test
from app.domain.recipient import Address


def matchers_of(stored: Iterable[Mapping[str, str]]) -> tuple[Matcher, ...]:
    """Read matchers as stored."""
    return tuple(Matcher(one["field"], Test(one["test"]), one["value"]) for one in stored)


def addresses_of(stored: Iterable[Mapping[str, str]]) -> tuple[Address, ...]:
    """Read a recipient's transports as stored."""
    return tuple(Address(one["transport"], one["address"]) for one in stored)


def addresses_json(addresses: Iterable[Address]) -> list[dict[str, str]]:
    """Write a recipient's transports for a column."""
    return [{"transport": one.transport, "address": one.address} for one in addresses]


def expectation_of(stored: Mapping[str, Any] | None) -> Expectation | None:
    """Read an expectation as stored; durations are whole seconds."""
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
    """Write an expectation for a column."""
    if expectation is None:
        return None
    return {
        "cron": expectation.cron,
        "period_s": _whole_seconds(expectation.period),
        "time_zone": expectation.time_zone,
        "grace_s": _whole_seconds(expectation.grace),
        "longest_s": _whole_seconds(expectation.longest),
    }


def _whole_seconds(length: timedelta | None) -> int | None:
    return None if length is None else round(length.total_seconds())


def seconds_or_none(stored: int | None) -> timedelta | None:
    """Read a duration column that may be empty."""
    return None if stored is None else timedelta(seconds=stored)
