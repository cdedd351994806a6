"""Sends one request for each alert of a message, for programs that take them one by one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from app.deliver.transports.document_alerts import BadDocument
from app.deliver.transports.http_caller import HttpCaller, ProgramRequest, joined
from app.deliver.transports.unsealing import Unseal, wrong_secret
from app.domain.attempt import Outcome, Permanent, Temporary, Unknown
from app.domain.message import Parcel

# The program itself cannot be reached or takes no more now: the other requests of the message would end the same way.
_PROGRAM_IS_AWAY = ("connect", "disconnect", "timeout", "resolve", "401", "403", "407", "408", "429", "503")


@dataclass(frozen=True, slots=True)
class AlertRequest:
    """The request about one alert."""

    alert_id: str
    request: ProgramRequest


class AlertByAlertTransport(ABC):
    """Sends a request for each alert of a message."""

    def __init__(self, caller: HttpCaller, unseal: Unseal) -> None:
        self._caller, self._unseal = caller, unseal

    @abstractmethod
    def requests_of(self, parcel: Parcel) -> list[AlertRequest]:
        """Return the requests of a message. Raises BadDocument, and ValueError for a secret that cannot be unsealed."""

    async def send(self, parcel: Parcel) -> Outcome:
        """Send the requests one after the other."""
        try:
            requests = self.requests_of(parcel)
        except BadDocument as cause:
            return Permanent("document", str(cause))
        except ValueError as cause:
            return wrong_secret(cause)
        # Send all requests, also after one that is refused, and return one outcome. All are sent again if one needs another attempt
        outcomes: dict[str, Outcome] = {}
        for one in requests:
            outcome = await self._caller.call_with_login(one.request)
            outcomes[one.alert_id] = outcome
            if isinstance(outcome, Temporary | Unknown) and outcome.code in _PROGRAM_IS_AWAY:
                break
        return joined(outcomes)

    def preview(self, parcel: Parcel) -> str:
        """Return the requests as they would be sent."""
        return "\n\n".join(one.request.shown() for one in self.requests_of(parcel))

    async def close(self) -> None:
        """Close pooled connections."""
        await self._caller.close()
