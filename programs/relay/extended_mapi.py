"""A mailbox over Extended MAPI by pywin32, with the flags of a service: no dialog, no spooler, the store itself.

Only a child imports it. It needs pywin32, whose own import loads no client yet; programs/relay/mail_clients.py makes sure that pywin32
loads the DLL of the chosen client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pythoncom
from win32com.mapi import mapi

from programs.relay import properties as pr
from programs.relay.conversation import ChildOrder
from programs.relay.mail_clients import load_client
from programs.relay.mailbox import Draft, MessagePlace, ReportFindings
from programs.relay.mime_message import MimeMessage
from programs.relay.outcomes import Declined, MapiError, RelayOutcome, RelayVerdict
from programs.relay.profile_check import Provider, tightness

MAPI_NT_SERVICE, MULTITHREAD = 0x10000, 0x1
# MAPI_EXTENDED, MAPI_NEW_SESSION, MAPI_EXPLICIT_PROFILE, MAPI_NT_SERVICE, MAPI_TIMEOUT_SHORT; never a flag that allows a dialog
LOGON_FLAGS = 0x20 | 0x2 | 0x10 | MAPI_NT_SERVICE | 0x100000
MAPI_NO_MAIL = 0x8000  # without it the spooler runs
STORE_FLAGS = 0x1 | 0x4 | 0x80  # MDB_NO_DIALOG, MDB_WRITE, MDB_NO_MAIL
MDB_ONLINE = 0x100
BEST_ACCESS, KEEP_OPEN, MODRECIP_ADD, MAPI_CREATE = 0x10, 0x2, 0x2, 0x2
STORE_SUBMIT_OK, STORE_UNICODE_OK = 0x80, 0x40000  # of PR_STORE_SUPPORT_MASK
NO_SUPPORT, UNKNOWN_FLAGS = 0x80040102, 0x80040106
_SMALL = 8 * 1024  # bytes of a property that is set at once; for more, providers want a stream
_CREATE_STREAM, _CREATE_MODIFY = 0x1000 | 0x2, 0x2 | 0x1
_PT_UNICODE = 0x1F
_MOST_ROWS, _BATCH = 10_000, 200


class ExtendedMailbox:
    """One profile over Extended MAPI. See programs.relay.mailbox.Mailbox."""

    def __init__(self, order: ChildOrder) -> None:
        load_client(order.client)
        self._profile, self._use_spooler = order.profile, order.use_spooler
        self._session: Any = None
        self._store: Any = None
        self._message: Any = None
        self._folders: dict[str, Any] = {}
        self._sent_entryid = b""
        self._is_initialised = False
        self._is_online = self._is_tight = False
        self._support = 0  # what the store can do

    def open(self) -> None:
        """Refuse a profile whose mail would stay in the Outbox, then log on and open the default store."""
        self._initialise()
        self._is_tight, why = tightness(self._providers())
        if not self._is_tight and not self._use_spooler:
            raise Declined(RelayVerdict(RelayOutcome.NOT_TIGHT, why, {"profile": self._profile}))
        flags = LOGON_FLAGS if self._use_spooler else LOGON_FLAGS | MAPI_NO_MAIL
        with self._mapi_errors("MAPILogonEx"):
            self._session = mapi.MAPILogonEx(0, self._profile, None, flags)
        with self._mapi_errors("open the default store"):
            stores = self._rows(self._session.GetMsgStoresTable(0), pr.PR_ENTRYID, pr.PR_DEFAULT_STORE)
            entryid = next((row[pr.PR_ENTRYID] for row in stores if row.get(pr.PR_DEFAULT_STORE)), None)
            if entryid is None:
                raise Declined(
                    RelayVerdict(RelayOutcome.NOT_TIGHT, "the profile has no default store", {"profile": self._profile})
                )
            try:
                self._store = self._session.OpenMsgStore(0, entryid, None, STORE_FLAGS | MDB_ONLINE)
                self._is_online = True
            except pythoncom.com_error as error:
                if error.hresult & 0xFFFFFFFF != UNKNOWN_FLAGS:
                    raise
                self._store = self._session.OpenMsgStore(0, entryid, None, STORE_FLAGS)  # a store without a cache
        outbox, self._sent_entryid, support = self._get(
            self._store, pr.PR_IPM_OUTBOX_ENTRYID, pr.PR_IPM_SENTMAIL_ENTRYID, pr.PR_STORE_SUPPORT_MASK
        )
        self._support = support or 0
        if not outbox:
            raise Declined(
                RelayVerdict(RelayOutcome.NOT_TIGHT, "the default store has no Outbox", {"profile": self._profile})
            )
        with self._mapi_errors("open the Outbox"):
            self._folders["outbox"] = self._store.OpenEntry(outbox, None, BEST_ACCESS)

    def create(self, message: MimeMessage) -> Draft:
        """Save the message in the Outbox."""
        with self._mapi_errors("create the message"):
            made = self._message = self._folders["outbox"].CreateMessage(None, 0)
            made.SetProps(pr.message_properties(message, self._sent_entryid))
            made.ModifyRecipients(MODRECIP_ADD, pr.recipient_rows(message.recipient))
        for tag, value in pr.bodies(message):
            self._set(made, tag, value)
        if message.kept:
            # Headers become named properties. A provider without them, or without room for more, does not stop the mail.
            with contextlib.suppress(pythoncom.com_error):
                names = [(pythoncom.MakeIID(pr.PS_INTERNET_HEADERS), name.lower()) for name, _ in message.kept]
                tags = made.GetIDsFromNames(names, MAPI_CREATE)
                made.SetProps([(tag & 0xFFFF0000 | _PT_UNICODE, value) for tag, (_, value) in zip(tags, message.kept)])
        with self._mapi_errors("save the message"):
            made.SaveChanges(KEEP_OPEN)
        entryid, search_key, subject, text = self._get(
            made, pr.PR_ENTRYID, pr.PR_SEARCH_KEY, pr.PR_SUBJECT_W, pr.PR_BODY_W
        )
        # A store without Unicode reports success and keeps question marks, so what it kept is read back. One with Unicode may have made
        # its own text of the HTML, whose links have question marks, too.
        lost = pr.characters_lost(message.subject, subject)
        if not self._support & STORE_UNICODE_OK:
            lost += pr.characters_lost(message.text, text)
        return Draft(entryid, search_key, lost)

    def submit(self, draft: Draft) -> Mapping[str, Any]:  # noqa: ARG002  (a child has only one message)
        """Submit it."""
        with self._mapi_errors("SubmitMessage"):
            self._message.SubmitMessage(0)
        self._message = None
        return {"online": self._is_online}

    def is_tight(self) -> bool:
        """Return what the profile shows; known once it is open."""
        return self._is_tight

    def find(self, search_key: bytes, folders: Sequence[str] = ("outbox", "sent")) -> MessagePlace | None:
        """Look into the folders' tables. Each time they are opened again: without a message pump an old one is never updated."""
        columns = (pr.PR_ENTRYID, pr.PR_SEARCH_KEY, pr.PR_MESSAGE_FLAGS)
        for name in folders:
            with self._mapi_errors(f"look into {name}"):
                if name not in self._folders:
                    self._folders[name] = self._store.OpenEntry(self._sent_entryid, None, BEST_ACCESS)
                table = self._folders[name].GetContentsTable(0)
                if name == "sent":
                    # The Outbox is read through; Sent Items may be huge, so the store filters if it can.
                    with contextlib.suppress(pythoncom.com_error):
                        equal = (mapi.RELOP_EQ, pr.PR_SEARCH_KEY, (pr.PR_SEARCH_KEY, search_key))
                        table.Restrict((mapi.RES_PROPERTY, equal), 0)
                rows = self._rows(table, *columns)
                row = next((row for row in rows if row.get(pr.PR_SEARCH_KEY) == search_key), None)
            if row is not None:
                return MessagePlace(name, row[pr.PR_ENTRYID], bool(row.get(pr.PR_MESSAGE_FLAGS, 0) & pr.MSGFLAG_SUBMIT))
        return None

    def abort(self, entryid: bytes) -> None:
        """Take it out of the outgoing queue."""
        with self._mapi_errors("AbortSubmit"):
            self._store.AbortSubmit(entryid, 0)

    def delete(self, entryid: bytes) -> None:
        """Remove it from the Outbox."""
        self._message = None
        with self._mapi_errors("delete the message"):
            self._folders["outbox"].DeleteMessages([entryid], 0, None, 0)

    def findings(self, report: ReportFindings) -> None:
        """Report the profiles, the profile's providers, and then the result of a logon."""
        self._initialise()
        with self._mapi_errors("list the profiles"):
            table = mapi.MAPIAdminProfiles(0).GetProfileTable(0)
            rows = self._rows(table, pr.PR_DISPLAY_NAME_A, pr.PR_DEFAULT_PROFILE)
            raw_names = [row.get(pr.PR_DISPLAY_NAME_A, b"") for row in rows]
            names = [raw.decode("mbcs", "replace") if isinstance(raw, bytes) else str(raw) for raw in raw_names]
        report({"profiles": names})
        try:
            report({"providers": [provider.as_json() for provider in self._providers()]})
        except MapiError as refused:
            report({"providers_refused": str(refused)})
            raise
        use_spooler, self._use_spooler = self._use_spooler, True  # a profile that is not tight gets its logon, too
        self.open()
        self._use_spooler = use_spooler
        [provider] = self._get(self._store, pr.PR_MDB_PROVIDER)
        report(
            {
                "logon": "ok",
                "online": self._is_online,
                "submits": bool(self._support & STORE_SUBMIT_OK),
                "unicode": bool(self._support & STORE_UNICODE_OK),
                "store": pr.as_hex(provider),
            }
        )

    def close(self) -> None:
        """Log off and release everything."""
        session, self._session = self._session, None
        self._message = self._store = None
        self._folders.clear()
        with contextlib.suppress(pythoncom.com_error):
            if session is not None:
                session.Logoff(0, 0, 0)
            del session
            if self._is_initialised:
                mapi.MAPIUninitialize()

    def _initialise(self) -> None:
        if not self._is_initialised:
            with self._mapi_errors("MAPIInitialize"):
                mapi.MAPIInitialize((0, MAPI_NT_SERVICE | MULTITHREAD))
            self._is_initialised = True

    def _providers(self) -> list[Provider]:
        """Read the profile: with MAPI_NO_MAIL the session itself does not show its transports."""
        with self._mapi_errors("read the profile"):
            services = mapi.MAPIAdminProfiles(0).AdminServices(self._profile, None, 0, 0)
            table = services.GetProviderTable(0)
            rows = self._rows(
                table,
                pr.PR_RESOURCE_TYPE,
                pr.PR_RESOURCE_FLAGS,
                pr.PR_SERVICE_UID,
                pr.PR_SERVICE_NAME_W,
                pr.PR_DISPLAY_NAME_W,
                pr.PR_PROVIDER_ORDINAL,
                pr.PR_MDB_PROVIDER,
            )
            return [Provider.from_row(row) for row in rows]

    def _rows(self, table: Any, *columns: int) -> Iterator[dict[int, Any]]:  # noqa: ANN401
        table.SetColumns(columns, 0)
        for _ in range(_MOST_ROWS // _BATCH):
            rows = table.QueryRows(_BATCH, 0)
            if not rows:
                return
            yield from (dict(row) for row in rows)

    def _get(self, mapi_object: Any, *tags: int) -> list[Any]:  # noqa: ANN401
        """Return properties; None for those that do not exist."""
        with self._mapi_errors("read properties"):
            _, values = mapi_object.GetProps(tags, 0)
        return [value if tag == wanted else None for wanted, (tag, value) in zip(tags, values)]

    def _set(self, mapi_object: Any, tag: int, value: str | bytes) -> None:  # noqa: ANN401
        """Set a property of any size: by a stream if it is large and the provider has streams."""
        content = value.encode("utf-16-le") if isinstance(value, str) else value
        with self._mapi_errors(f"set 0x{tag:08X}"):
            stream: Any = None
            if len(content) > _SMALL:
                try:
                    stream = mapi_object.OpenProperty(tag, pythoncom.IID_IStream, _CREATE_STREAM, _CREATE_MODIFY)
                except pythoncom.com_error as error:
                    if error.hresult & 0xFFFFFFFF != NO_SUPPORT:
                        raise
            if stream is None:
                mapi_object.SetProps([(tag, value)])
                return
            for start in range(0, len(content), 64 * 1024):
                stream.Write(content[start : start + 64 * 1024])
            stream.Commit(0)

    @contextlib.contextmanager
    def _mapi_errors(self, doing: str) -> Iterator[None]:
        """Turn pywin32's error into MapiError with the step that failed."""
        try:
            yield
        except pythoncom.com_error as error:
            raise MapiError(error.hresult, doing) from error
