"""The transport `apprise`: any service that Apprise knows, by its URL (the extra `tocsin[apprise]`), in a process of its own.

The URL is a secret: it is stored sealed, given to the child on its standard input, and in no text. The child has limits of time and memory
and none of our environment, so nothing that a service's plugin does can read our secrets, hold up other messages or fill the memory.
"""

import asyncio
import json
import sys

from app.deliver.transport import cancelled_is_unsent
from app.deliver.transports.chat_text import chat_text
from app.deliver.transports.document_alerts import BadDocument
from app.deliver.transports.lazy import missing_extra
from app.deliver.transports.unsealing import Unseal, wrong_secret
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.message import Parcel
from app.domain.transport_options import AppriseOptions

_START_S = 15.0  # Python and Apprise are loaded, before any service is asked
_AT_ONCE = 2
_CHILD = "app.deliver.transports.apprise_child"


class AppriseTransport:
    """Sends each message by a process of its own."""

    def __init__(self, unseal: Unseal, timeout_s: float, *, allow_private: bool, start_s: float = _START_S) -> None:
        self._unseal, self._timeout_s, self._allow_private, self._start_s = unseal, timeout_s, allow_private, start_s
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def send(self, parcel: Parcel) -> Outcome:
        """Send it, and return what the child reports."""
        options = parcel.options
        if not isinstance(options, AppriseOptions) or options.url is None:
            return Permanent("address", "the recipient has no URL for Apprise")
        try:
            title, body, kind = chat_text(parcel.body, parcel.ended)
            url = self._unseal(options.url)
        except BadDocument as cause:
            return Permanent("document", str(cause))
        except ValueError as cause:
            return wrong_secret(cause)
        order = {"url": url, "title": title, "body": body, "kind": kind, "allow_private": self._allow_private}
        with cancelled_is_unsent():
            await self._places.acquire()
        try:
            return await self._run(json.dumps(order).encode())
        finally:
            self._places.release()

    def preview(self, parcel: Parcel) -> str:
        """Return title and text."""
        title, body, kind = chat_text(parcel.body, parcel.ended)
        return f"{title}\n\n{body}\n\n({kind})"

    async def close(self) -> None:
        """Do nothing: no process stays."""

    async def _run(self, order: bytes) -> Outcome:
        environment = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": ":".join(sys.path),
            "HOME": "/nonexistent",
        }
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _CHILD),
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(self._start_s + self._timeout_s):
                answer, _ = await child.communicate(order)
        except TimeoutError:
            return Unknown("timeout", f"no answer of the service within {self._timeout_s:g} s")
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        try:
            ended = json.loads(answer)
            return _judge(str(ended["outcome"]), str(ended["status"]))
        except (ValueError, KeyError, TypeError):
            return Unknown("child", f"the process that sends by Apprise ended with {child.returncode}")


def _judge(outcome: str, status: str) -> Outcome:
    match outcome:
        case "sent":
            return Sent(status or "accepted", "Apprise reports that the service took the message")
        case "url":
            return Permanent("address", "Apprise knows no service with such a URL")
        case "private":
            return Permanent(
                "address", "the service has no public address; TOCSIN_WEBHOOK_ALLOW_PRIVATE would allow private ones"
            )
        case "extra":
            return missing_extra("tocsin[apprise]")
        case "memory":
            return Unknown(
                "memory", "the service's answer took more memory than the process that sends by Apprise may use"
            )
        case _:
            answered = f" (status {status})" if status else ""
            return Temporary(status or "refused", f"the service refused the message or did not answer{answered}")
