"""A mailbox over Simple MAPI by ctypes, for clients that have nothing better. Its proof is weaker: "handed to the client".

For the child only. Wide text is tried first and with MAPI_FORCE_UNICODE, or an old client would turn it into question marks
without a word.
"""

from __future__ import annotations

import ctypes
import html as html_entities
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from programs.relay.conversation import ChildOrder
from programs.relay.mail_clients import load
from programs.relay.mailbox import Draft, MessagePlace, Tell
from programs.relay.mime_message import MimeMessage
from programs.relay.outcomes import MapiError

NEW_SESSION, FORCE_UNICODE = 0x2, 0x40000  # never MAPI_LOGON_UI 1 nor MAPI_DIALOG 8
UNICODE_NOT_SUPPORTED = 27
_AT_NO_PLACE = 0xFFFFFFFF
_MOST_HTML = 200_000  # characters that are made into text where a message has none
_CLASSES = {"to": 1, "cc": 2, "bcc": 3}
_ULONG, _POINTER = ctypes.c_uint32, ctypes.c_void_p


def _structures(text: Any) -> tuple[type[ctypes.Structure], type[ctypes.Structure], type[ctypes.Structure]]:  # noqa: ANN401
    """Make MapiRecipDesc, MapiFileDesc and MapiMessage (mapi.h) with `text` as their kind of string."""

    class MapiRecipDesc(ctypes.Structure):
        _fields_ = (
            ("reserved", _ULONG),
            ("kind", _ULONG),
            ("name", text),
            ("address", text),
            ("entryid_size", _ULONG),
            ("entryid", _POINTER),
        )

    class MapiFileDesc(ctypes.Structure):
        _fields_ = (
            ("reserved", _ULONG),
            ("flags", _ULONG),
            ("position", _ULONG),
            ("path", text),
            ("name", text),
            ("type", _POINTER),
        )

    class MapiMessage(ctypes.Structure):
        _fields_ = (
            ("reserved", _ULONG),
            ("subject", text),
            ("text", text),
            ("message_class", text),
            ("date", text),
            ("conversation", text),
            ("flags", _ULONG),
            ("originator", _POINTER),
            ("recipient_count", _ULONG),
            ("recipients", ctypes.POINTER(MapiRecipDesc)),
            ("file_count", _ULONG),
            ("files", ctypes.POINTER(MapiFileDesc)),
        )

    return MapiRecipDesc, MapiFileDesc, MapiMessage


WIDE, NARROW = _structures(ctypes.c_wchar_p), _structures(ctypes.c_char_p)


class SimpleMailbox:
    """One profile over Simple MAPI. See programs.relay.mailbox.Mailbox."""

    def __init__(self, order: ChildOrder) -> None:
        self._mapi = load(order.client)
        self._profile = order.profile
        self._session = _POINTER()
        self._message: MimeMessage | None = None
        self._body = ""
        self._files: list[Path] = []
        self._open_files = ExitStack()

    def open(self) -> None:
        """Log on with the profile. A good logon proves little; the first send does."""
        logon = self._mapi.MAPILogon
        logon.restype = _ULONG
        logon.argtypes = (_POINTER, ctypes.c_char_p, ctypes.c_char_p, _ULONG, _ULONG, ctypes.POINTER(_POINTER))
        profile = _narrow(self._profile)[0]
        self._check(logon(None, profile, None, NEW_SESSION, 0, ctypes.byref(self._session)), "MAPILogon")

    def create(self, message: MimeMessage) -> Draft:
        """Remember it: Simple MAPI makes and sends in one call."""
        folder = Path(self._open_files.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-relay-")))
        for number, attachment in enumerate(message.attachments):
            path = folder / str(number) / attachment.name
            path.parent.mkdir()
            path.write_bytes(attachment.content)
            self._files.append(path)
        self._body = (message.text or plain(message.html)).replace("\n", "\r\n")
        self._message = message
        return Draft(b"", b"")

    def submit(self, draft: Draft) -> Mapping[str, Any]:  # noqa: ARG002  (it has no keys)
        """Send: wide, and if the client has no wide text, in the host's code page, saying how much of it was lost."""
        send_wide = getattr(self._mapi, "MAPISendMailW", None)
        if send_wide is not None:
            code = self._send(send_wide, WIDE, _Wide(), FORCE_UNICODE)
            if code != UNICODE_NOT_SUPPORTED:
                self._check(code, "MAPISendMailW")
                return {"text": "unicode"}
        words = _Narrow()
        self._check(self._send(self._mapi.MAPISendMail, NARROW, words, 0), "MAPISendMail")
        return {"text": "code page", "characters_lost": words.lost}

    def can_look(self) -> bool:
        """Simple MAPI has no Outbox."""
        return False

    def find(self, search_key: bytes, folders: Sequence[str] = ()) -> MessagePlace | None:  # noqa: ARG002  (it cannot)
        """Find nothing."""
        return None

    def abort(self, entryid: bytes) -> None:  # noqa: ARG002  (it cannot)
        """Refuse."""
        raise MapiError(26, "AbortSubmit", simple=True)

    def delete(self, entryid: bytes) -> None:
        """Do nothing: nothing was saved."""

    def findings(self, tell: Tell) -> None:
        """Tell that this client shows no profile, then log on."""
        tell({"simple": True})
        self.open()
        tell({"logon": "ok"})

    def close(self) -> None:
        """Log off."""
        self._open_files.close()
        if self._session.value:
            logoff = self._mapi.MAPILogoff
            logoff.restype, logoff.argtypes = _ULONG, (_POINTER, _POINTER, _ULONG, _ULONG)
            logoff(self._session, None, 0, 0)

    def _send(self, call: Any, structures: Any, words: Any, flags: int) -> int:  # noqa: ANN401
        message, files = self._message, self._files
        recipient_type, file_type, message_type = structures
        if message is None:
            return 17
        recipients = (recipient_type * len(message.recipients))(
            *(
                recipient_type(0, _CLASSES[one.kind], words(one.name), words("SMTP:" + one.address), 0, None)
                for one in message.recipients
            )
        )
        attached = (file_type * max(1, len(files)))(
            *(file_type(0, 0, _AT_NO_PLACE, words(str(path)), words(path.name), None) for path in files)
        )
        body = words(self._body)
        mail = message_type(
            0,
            words(message.subject),
            body,
            None,
            None,
            None,
            0,
            None,
            len(recipients),
            recipients,
            len(files),
            attached,
        )
        call.restype, call.argtypes = _ULONG, (_POINTER, _POINTER, ctypes.POINTER(message_type), _ULONG, _ULONG)
        return int(call(self._session, None, ctypes.byref(mail), flags, 0))

    def _check(self, code: int, doing: str) -> None:
        if code:
            raise MapiError(code, doing, simple=True)


class _Wide:
    def __call__(self, text: str) -> str:
        return text.replace("\0", "")


class _Narrow:
    """Puts text into the host's code page and counts what that cannot say."""

    def __init__(self) -> None:
        self.lost = 0

    def __call__(self, text: str) -> bytes:
        content, lost = _narrow(text)
        self.lost += lost
        return content


def _narrow(text: str) -> tuple[bytes, int]:
    clean = text.replace("\0", "")
    content = clean.encode("mbcs", "replace")
    back = content.decode("mbcs", "replace")
    return content, sum(1 for ours, theirs in zip(clean, back) if ours != theirs) + abs(len(clean) - len(back))


def plain(html: str) -> str:
    """Make readable text of HTML for a client that has no other body."""
    text = re.sub(r"(?is)<(script|style|head)\b.*?</\1\s*>", "", html[:_MOST_HTML])
    text = re.sub(r"(?i)<br\s*/?>|</(?:p|div|tr|h\d|li|table)\s*>", "\n", text)
    text = html_entities.unescape(re.sub(r"(?s)<[^>]*>", "", text))
    return re.sub(r"\n\s*\n+", "\n\n", re.sub(r"[ \t]+", " ", text)).strip()
