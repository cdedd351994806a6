"""The transport `nagios`: passive check results by NRDP (Nagios Remote Data Processor), as XML, with a token.

NRDP answers with status 200 whatever happens, so its body decides: `<status>0</status>` means that Nagios got the results.
"""

import re
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from app.deliver.transports.check_state import CheckState, check_state, service_alerts
from app.deliver.transports.document_alerts import BadDocument
from app.deliver.transports.http_caller import HttpCaller, ProgramRequest
from app.deliver.transports.http_exchange import PostAnswer
from app.deliver.transports.unsealing import Unseal, wrong_secret
from app.domain.attempt import Outcome, Permanent, Sent, Temporary
from app.domain.message import Parcel
from app.domain.transport_options import NagiosOptions

_STATUS = re.compile(r"<status>\s*(-?\d+)\s*</status>", re.IGNORECASE)
_MESSAGE = re.compile(r"<message>(.{0,200}?)</message>", re.IGNORECASE | re.DOTALL)
_BAD_TOKEN = re.compile(r"token", re.IGNORECASE)
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MASK = "***"


class NagiosTransport:
    """POSTs the results of each message in one request."""

    def __init__(self, caller: HttpCaller, unseal: Unseal) -> None:
        self._caller, self._unseal = caller, unseal

    async def send(self, parcel: Parcel) -> Outcome:
        """POST the results and read what NRDP says of them."""
        options = parcel.options if isinstance(parcel.options, NagiosOptions) else NagiosOptions()
        try:
            data = _results(parcel, options)
            token = "" if options.token is None else self._unseal(options.token)
        except BadDocument as cause:
            return Permanent("document", str(cause))
        except ValueError as cause:
            return wrong_secret(cause)
        body = urlencode({"cmd": "submitcheck", "token": token, "XMLDATA": data}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded", "user-agent": "Tocsin"}
        answer = await self._caller.answer_of(ProgramRequest(parcel.address, headers, body, more_secrets=(token,)))
        if not isinstance(answer, PostAnswer):
            return answer
        judged = self._caller.judge(answer)
        return _judge(answer.body.decode("utf-8", "replace"), judged) if isinstance(judged, Sent) else judged

    def preview(self, parcel: Parcel) -> str:
        """Return the form as it would be sent, before it is encoded."""
        options = parcel.options if isinstance(parcel.options, NagiosOptions) else NagiosOptions()
        return f"POST {parcel.address}\n\ncmd=submitcheck\ntoken={_MASK}\nXMLDATA={_results(parcel, options)}"

    async def close(self) -> None:
        """Close pooled connections."""
        await self._caller.close()


def _results(parcel: Parcel, options: NagiosOptions) -> str:
    states = [check_state(alert, options.names) for alert in service_alerts(parcel)]
    return f"<?xml version='1.0'?>\n<checkresults>{''.join(map(_result, states))}</checkresults>"


def _result(state: CheckState) -> str:
    host, service, output = (escape(_NOT_IN_XML.sub("", text)) for text in (state.host, state.service, state.output))
    return (
        f"<checkresult type='service' checktype='1'><hostname>{host}</hostname><servicename>{service}</servicename>"
        f"<state>{state.state}</state><output>{output}</output></checkresult>"
    )


def _judge(body: str, judged: Sent) -> Outcome:
    """Return what NRDP says. Its words are kept only where the answer may be shown."""
    status, message = _STATUS.search(body), _MESSAGE.search(judged.text)
    words = message[1].strip() if message else "NRDP's words are not shown"
    if status is not None and status[1] == "0":
        return Sent("accepted", words)
    if status is None:
        return Temporary("nrdp", "the answer is not from NRDP")
    # A wrong token is a fault of our settings. Whatever else NRDP says, Nagios did not get the results.
    return Temporary(
        "nrdp", f"NRDP answered with status {status[1]}: {words}", is_hopeless_here=bool(_BAD_TOKEN.search(body))
    )
