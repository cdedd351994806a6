"""A mailbox over Simple MAPI by ctypes, for clients that have nothing better. Its proof is weaker: "handed to the client".

Only a child imports it. Wide text is tried first, with MAPI_FORCE_UNICODE: without that flag an old client would replace characters by
question marks and report success.
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
from programs.relay.mail_clients import load_client
from programs.relay.mailbox import Draft, MessagePlace, ReportFindings
from programs.relay.mime_message import MimeMessage
from programs.relay.outcomes import MapiError

NEW_SESSION, FORCE_UNICODE = 0x2, 0x40000  # never MAPI_LOGON_UI 1 nor MAPI_DIALOG 8
UNICODE_NOT_SUPPORTED = 27
_AT_NO_PLACE = 0xFFFFFFFF
_MOST_HTML = 200_000  # characters of HTML that are turned into text
_CLASSES = {"to": 1, "cc": 2, "bcc": 3}
_ULONG, _POINTER = ctypes.c_uint32, ctypes.c_void_p


def _structures(text: Any) -> tuple[type[ctypes.Structure], type[ctypes.Structure], type[ctypes.Structure]]:  # noqa: ANN401
    """Return MapiRecipDesc, MapiFileDesc and MapiMessage (mapi.h) with `text` as their type of string."""

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
        self._mapi = load_client(order.client)
        self._profile = order.profile
        self._session = _POINTER()
        self._message: MimeMessage | None = None
        self._body = ""
        self._files: list[Path] = []
        self._open_files = ExitStack()

    def open(self) -> None:
        """Log on with the profile. A good logon proves little; the first send proves more."""
        logon = self._mapi.MAPILogon
        logon.restype = _ULONG
        logon.argtypes = (_POINTER, ctypes.c_char_p, ctypes.c_char_p, _ULONG, _ULONG, ctypes.POINTER(_POINTER))
        profile = _narrow(self._profile)[0]
        self._check(logon(None, profile, None, NEW_SESSION, 0, ctypes.byref(self._session)), "MAPILogon")

    def create(self, message: MimeMessage) -> Draft:
        """Remember the message: Simple MAPI creates and sends it in one call."""
        folder = Path(self._open_files.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-relay-")))
        for number, attachment in enumerate(message.attachments):
            path = folder / str(number) / attachment.name
            path.parent.mkdir()
            path.write_bytes(attachment.content)
            self._files.append(path)
        self._body = (message.text or html_as_text(message.html)).replace("\n", "\r\n")
        self._message = message
        return Draft(b"", b"")

    def submit(self, draft: Draft) -> Mapping[str, Any]:  # noqa: ARG002  (it has no keys)
        """Send as wide text; if the client has none, in the host's code page, with the number of characters that were lost."""
        send_wide = getattr(self._mapi, "MAPISendMailW", None)
        if send_wide is not None:
            code = self._send(send_wide, WIDE, _Wide(), FORCE_UNICODE)
            if code != UNICODE_NOT_SUPPORTED:
                self._check(code, "MAPISendMailW")
                return {"text": "unicode"}
        encode = _Narrow()
        self._check(self._send(self._mapi.MAPISendMail, NARROW, encode, 0), "MAPISendMail")
        return {"text": "code page", "characters_lost": encode.lost}

    def can_look(self) -> bool:
        """Return false: Simple MAPI has no Outbox."""
        return False

    def find(self, search_key: bytes, folders: Sequence[str] = ()) -> MessagePlace | None:  # noqa: ARG002  (it cannot)
        """Return nothing."""
        return None

    def abort(self, entryid: bytes) -> None:  # noqa: ARG002  (it cannot)
        """Refuse."""
        raise MapiError(26, "AbortSubmit", simple=True)

    def delete(self, entryid: bytes) -> None:
        """Do nothing: nothing was saved."""

    def findings(self, report: ReportFindings) -> None:
        """Report that this client shows no profile, then log on."""
        report({"simple": True})
        self.open()
        report({"logon": "ok"})

    def close(self) -> None:
        """Log off."""
        self._open_files.close()
        if self._session.value:
            logoff = self._mapi.MAPILogoff
            logoff.restype, logoff.argtypes = _ULONG, (_POINTER, _POINTER, _ULONG, _ULONG)
            logoff(self._session, None, 0, 0)

    def _send(self, call: Any, structures: Any, encode: Any, flags: int) -> int:  # noqa: ANN401
        message, files = self._message, self._files
        recipient_type, file_type, message_type = structures
        if message is None:
            return 17
        recipients = (recipient_type * len(message.recipients))(
            *(
                recipient_type(
                    0, _CLASSES[recipient.kind], encode(recipient.name), encode("SMTP:" + recipient.address), 0, None
                )
                for recipient in message.recipients
            )
        )
        attached = (file_type * max(1, len(files)))(
            *(file_type(0, 0, _AT_NO_PLACE, encode(str(path)), encode(path.name), None) for path in files)
        )
        body = encode(self._body)
        mail = message_type(
            0,
            encode(message.subject),
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
    """Encodes text in the host's code page and counts the characters that it does not have."""

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


def html_as_text(html: str) -> str:
    """Return HTML as readable text, for a client that shows only text."""
    text = re.sub(r"(?is)<(script|style|head)\b.*?</\1\s*>", "", html[:_MOST_HTML])
    text = re.sub(r"(?i)<br\s*/?>|</(?:p|div|tr|h\d|li|table)\s*>", "\n", text)
    text = html_entities.unescape(re.sub(r"(?s)<[^>]*>", "", text))
    return re.sub(r"\n\s*\n+", "\n\n", re.sub(r"[ \t]+", " ", text)).strip()
