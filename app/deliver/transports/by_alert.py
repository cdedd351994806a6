"""Sends one request for each alert of a message, for programs that take them one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.deliver.transports.http_caller import HttpCaller, ProgramRequest, joined
from app.domain.attempt import Outcome, Temporary, Unknown

# The program itself cannot be reached or takes no more now: the other requests of the message would end the same way.
_NOT_THIS_ALERT = ("connect", "disconnect", "timeout", "resolve", "401", "403", "407", "408", "429", "503")


@dataclass(frozen=True, slots=True)
class AlertRequest:
    """The request about one alert."""

    alert_id: str
    request: ProgramRequest


async def send_each(caller: HttpCaller, requests: Sequence[AlertRequest]) -> Outcome:
    """Send all requests, also after one that is refused, and return one outcome. All are sent again if one needs another attempt."""
    outcomes: dict[str, Outcome] = {}
    for one in requests:
        outcome = await caller.call_with_login(one.request)
        outcomes[one.alert_id] = outcome
        if isinstance(outcome, Temporary | Unknown) and outcome.code in _NOT_THIS_ALERT:
            break
    return joined(outcomes)
