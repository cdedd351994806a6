"""The transport `icinga2`: passive check results by Icinga's REST API (`POST /v1/actions/process-check-result`).

Host and service are passed as values of the filter, so no name of an agent or job can change what is selected. A result has a time to live only where
an option sets it: then `compose/refresh.py` repeats it before it ends.
"""

import asyncio
import base64
import json
import re
import ssl

from app.deliver.transports.check_state import CheckState, check_state, service_alerts
from app.deliver.transports.document_alerts import BadDocument
from app.deliver.transports.http_caller import HttpCaller, ProgramRequest, joined
from app.deliver.transports.http_exchange import PostAnswer
from app.deliver.transports.public_only import PublicOnly
from app.deliver.transports.unsealing import Unseal, wrong_secret
from app.domain.attempt import Outcome, Permanent, Sent, Temporary
from app.domain.message import Parcel
from app.domain.transport_options import Icinga2Options

_PATH = "/v1/actions/process-check-result"
_NO_SERVICE = re.compile(
    rb'\s*\{\s*"results"\s*:\s*\[\s*\]\s*\}\s*'
)  # with status 500, where the filter selects nothing (2.13)
_DONE = re.compile(rb'"results"\s*:.*"code"\s*:\s*200\b', re.DOTALL)
_NOT_FOUND, _NOT_ALLOWED = 404, (401, 403, 407)


class Icinga2Transport:
    """POSTs one result for each alert."""

    def __init__(self, network: PublicOnly, timeout_s: float, unseal: Unseal) -> None:
        self._network, self._timeout_s, self._unseal = network, timeout_s, unseal
        self._callers: dict[str | None, HttpCaller] = {}  # by the authority that they trust; Icinga has one of its own

    async def send(self, parcel: Parcel) -> Outcome:
        """POST all results, one after the other for a service."""
        try:
            requests = self._requests(parcel)
            caller = self._caller(parcel)
        except ssl.SSLError:
            return Permanent("certificate", "ca_certificate is no certificate in PEM form")
        except BadDocument as cause:
            return Permanent("document", str(cause))
        except ValueError as cause:
            return wrong_secret(cause)
        outcomes = await asyncio.gather(*(_post(caller, request, about) for about, request in requests.items()))
        return joined(dict(zip(requests, outcomes, strict=True)))

    def preview(self, parcel: Parcel) -> str:
        """Return the requests as they would be sent."""
        return "\n\n".join(request.shown() for request in self._requests(parcel).values())

    async def close(self) -> None:
        """Close pooled connections."""
        for caller in self._callers.values():
            await caller.close()

    def _caller(self, parcel: Parcel) -> HttpCaller:
        pem = parcel.options.ca_certificate if isinstance(parcel.options, Icinga2Options) else None
        if pem not in self._callers:
            tls = None if pem is None else ssl.create_default_context(cadata=pem)
            self._callers[pem] = HttpCaller(self._timeout_s, network=self._network, tls=tls)
        return self._callers[pem]

    def _requests(self, parcel: Parcel) -> dict[str, ProgramRequest]:
        """Return one request a service: of several alerts about one, the last."""
        options = parcel.options if isinstance(parcel.options, Icinga2Options) else Icinga2Options()
        password = "" if options.password is None else self._unseal(options.password)
        login = base64.b64encode(f"{options.user}:{password}".encode()).decode()
        headers = {
            "accept": "application/json",
            "content-type": "application/json",
            "user-agent": "Tocsin",
            "authorization": f"Basic {login}",
        }
        states = [check_state(alert, options.names) for alert in service_alerts(parcel)]
        url = parcel.address.rstrip("/") + _PATH
        return {
            f"{one.host}!{one.service}": ProgramRequest(
                url, headers, _body(one, options.ttl_s), ("authorization",), more_secrets=(password,)
            )
            for one in states
        }


def _body(state: CheckState, ttl_s: int | None) -> bytes:
    result: dict[str, object] = {
        "type": "Service",
        "filter": "host.name == tocsin_host && service.name == tocsin_service",
        "filter_vars": {"tocsin_host": state.host, "tocsin_service": state.service},
        "exit_status": state.state,
        "plugin_output": state.output,
        "check_source": "tocsin",
    }
    # Of a result without trouble it would mean that the service turns UNKNOWN although nothing is wrong.
    if ttl_s is not None and state.state:
        result["ttl"] = ttl_s
    return json.dumps(result, ensure_ascii=False).encode()


async def _post(caller: HttpCaller, request: ProgramRequest, about: str) -> Outcome:
    """Send a result, and say what is missing where Icinga does not know the service: somebody must define it, and then the result is sent."""
    answer = await caller.answer_of(request)
    if not isinstance(answer, PostAnswer):
        return answer
    if answer.status == _NOT_FOUND or _NO_SERVICE.fullmatch(answer.body):
        words = f"Icinga has no service {about}, or the API user may not see it"
        return Temporary("service", words, is_hopeless_here=True)
    outcome = caller.judge(answer)
    if isinstance(outcome, Sent) and _DONE.search(answer.body) is None:
        return Temporary("answer", "the answer does not say that Icinga took the result", is_hopeless_here=True)
    if isinstance(outcome, Permanent) and answer.status in _NOT_ALLOWED:
        return Temporary(outcome.code, outcome.text, is_hopeless_here=True)
    return outcome
