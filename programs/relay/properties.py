"""Turn a MIME message into MAPI's properties: tags, values, the recipient's row. Pure; names as in Microsoft's mapitags.h."""

from __future__ import annotations

import uuid
from typing import Any

from programs.relay.mime_message import MimeMessage

PR_ENTRYID, PR_SEARCH_KEY, PR_MESSAGE_FLAGS = 0x0FFF0102, 0x300B0102, 0x0E070003
PR_IPM_OUTBOX_ENTRYID, PR_IPM_SENTMAIL_ENTRYID, PR_SENTMAIL_ENTRYID = 0x35E20102, 0x35E40102, 0x0E0A0102
PR_DEFAULT_STORE, PR_STORE_SUPPORT_MASK, PR_MDB_PROVIDER = 0x3400000B, 0x340D0003, 0x34140102
PR_DISPLAY_NAME_A, PR_DISPLAY_NAME_W, PR_DEFAULT_PROFILE = 0x3001001E, 0x3001001F, 0x3D04000B
PR_RESOURCE_TYPE, PR_RESOURCE_FLAGS = 0x3E030003, 0x30090003
PR_SERVICE_NAME_W, PR_SERVICE_UID, PR_PROVIDER_ORDINAL = 0x3D09001F, 0x3D0C0102, 0x300D0003
PR_SUBJECT_W, PR_BODY_W, PR_HTML = 0x0037001F, 0x1000001F, 0x10130102
MSGFLAG_SUBMIT = 0x4
PS_INTERNET_HEADERS = "{00020386-0000-0000-C000-000000000046}"

_PR_MESSAGE_CLASS_W, _PR_DELETE_AFTER_SUBMIT = 0x001A001F, 0x0E01000B
_PR_INTERNET_CPID, _PR_MSG_EDITOR_FORMAT = 0x3FDE0003, 0x59090003
_PR_INTERNET_MESSAGE_ID_W, _PR_IN_REPLY_TO_ID_W, _PR_INTERNET_REFERENCES_W = 0x1035001F, 0x1042001F, 0x1039001F
_PR_AUTO_RESPONSE_SUPPRESS = 0x3FDF0003
_PR_RECIPIENT_TYPE, _PR_ADDRTYPE_W, _PR_EMAIL_ADDRESS_W = 0x0C150003, 0x3002001F, 0x3003001F
_PR_OBJECT_TYPE, _PR_DISPLAY_TYPE, _PR_SEND_RICH_INFO = 0x0FFE0003, 0x39000003, 0x3A40000B

_ONE_OFF_UID = bytes.fromhex("812B1FA4BEA310199D6E00DD010F5402")
# Unicode; no rich text, or Exchange sends a winmail.dat that other mail programs cannot read.
_ONE_OFF_FLAGS = 0x8000 | 0x0001
_UTF8, _HTML_EDITOR, _TEXT_EDITOR = 65001, 2, 1
_SUPPRESS_ALL = -1
_TO, _MAIL_USER = 1, 6

Property = tuple[int, Any]


def message_properties(message: MimeMessage, sent_folder: bytes) -> list[Property]:
    """Return the small properties. Bodies may be large: see `bodies`."""
    properties: list[Property] = [
        (_PR_MESSAGE_CLASS_W, "IPM.Note"),
        (PR_SUBJECT_W, message.subject),
        (_PR_DELETE_AFTER_SUBMIT, False),
        (_PR_INTERNET_CPID, _UTF8),
        (_PR_MSG_EDITOR_FORMAT, _HTML_EDITOR if message.html else _TEXT_EDITOR),
        (_PR_AUTO_RESPONSE_SUPPRESS, _SUPPRESS_ALL),
    ]
    if sent_folder:
        properties.append((PR_SENTMAIL_ENTRYID, sent_folder))
    for tag, value in (
        (_PR_INTERNET_MESSAGE_ID_W, message.message_id),
        (_PR_IN_REPLY_TO_ID_W, message.in_reply_to),
        (_PR_INTERNET_REFERENCES_W, message.references),
    ):
        if value:
            properties.append((tag, value))
    return properties


def bodies(message: MimeMessage) -> list[Property]:
    """Return the bodies, HTML last: a store makes its own text from HTML, and trusts the body that was set last."""
    found: list[Property] = []
    if message.text or not message.html:
        found.append((PR_BODY_W, message.text.replace("\n", "\r\n")))
    if message.html:
        found.append((PR_HTML, message.html.replace("\n", "\r\n").encode()))
    return found


def recipient_rows(address: str) -> list[tuple[Property, ...]]:
    """Return the row for ModifyRecipients, resolved by its SMTP address: no address book is asked and no dialog can open."""
    strings = "".join(f"{string}\0" for string in (address, "SMTP", address)).encode("utf-16-le")
    # The entry id of an address that is in no address book (MS-OXCDATA 2.2.5.1).
    one_off = bytes(4) + _ONE_OFF_UID + bytes(2) + _ONE_OFF_FLAGS.to_bytes(2, "little") + strings
    return [
        (
            (_PR_RECIPIENT_TYPE, _TO),
            (PR_DISPLAY_NAME_W, address),
            (_PR_ADDRTYPE_W, "SMTP"),
            (_PR_EMAIL_ADDRESS_W, address),
            (PR_ENTRYID, one_off),
            (_PR_OBJECT_TYPE, _MAIL_USER),
            (_PR_DISPLAY_TYPE, 0),
            (_PR_SEND_RICH_INFO, False),
        )
    ]


def as_hex(value: object) -> str:
    """Return a binary value as hex; an empty text if there is none. pywin32 returns some 16-byte ids as its IID."""
    if isinstance(value, bytes):
        return value.hex()
    if value is None:
        return ""
    try:
        return uuid.UUID(str(value)).bytes_le.hex()
    except ValueError:
        return ""


def characters_lost(ours: str, kept: object) -> int:
    """Return how many characters became question marks. Other changes do not count: a store may make its own text of the HTML."""
    if not isinstance(kept, str):
        return 0
    missing = sum(not character.isascii() for character in ours) - sum(not character.isascii() for character in kept)
    return max(0, min(kept.count("?") - ours.count("?"), missing))
