"""A mailbox of folders and files, which a script makes misbehave; see programs.relay.mailbox.Mailbox."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from programs.relay.mailbox import Draft, MessagePlace, ReportFindings
from programs.relay.mime_message import MimeMessage
from programs.relay.outcomes import MapiError


@dataclass
class FileMailbox:
    """A mailbox of folders and files, so that several children see one Outbox. `script` says what fails.

    Keys of `script`: `refuse` {method: HRESULT}, `hang` [methods], `end` [methods] (the process ends there), `drain` (seconds until a
    submitted message has left; null: never), `keeps_copies` (true), `is_tight` (true), `characters_lost` (0), `findings` (a dict).
    """

    root: Path
    script: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> None:
        """Make the folders."""
        self._follow_script("open")
        for name in ("outbox", "sent"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def create(self, message: MimeMessage) -> Draft:
        """Write a draft."""
        self._follow_script("create")
        number = sum(1 for _ in self.root.glob("*/*.json")) + 1
        key = f"{number}-{time.time_ns()}"
        self._write("outbox", key, {"subject": message.subject, "id": message.message_id, "submitted": 0.0})
        return Draft(key.encode(), key.encode(), int(self.script.get("characters_lost", 0)))

    def submit(self, draft: Draft) -> Mapping[str, Any]:
        """Write down the time."""
        self._follow_script("submit")
        message_file = self._read("outbox", draft.entryid.decode())
        self._write("outbox", draft.entryid.decode(), {**message_file, "submitted": time.time()})
        self._follow_script("submitted")
        return {}

    def is_tight(self) -> bool:
        """Return the script's value."""
        return bool(self.script.get("is_tight", True))

    def find(self, search_key: bytes, folders: Sequence[str] = ("outbox", "sent")) -> MessagePlace | None:
        """Move out what has been submitted long enough, then look."""
        self._follow_script("find")
        drain = self.script.get("drain", 0.0)
        for path in (self.root / "outbox").glob("*.json"):
            message_file = json.loads(path.read_text(encoding="utf-8"))
            if message_file["submitted"] and drain is not None and time.time() - message_file["submitted"] >= drain:
                (self.root / "delivered").mkdir(exist_ok=True)
                (self.root / "delivered" / path.name).write_text(json.dumps(message_file), encoding="utf-8")
                if self.script.get("keeps_copies", True):
                    path.replace(self.root / "sent" / path.name)
                else:
                    path.unlink()
        for folder in folders:
            if (self.root / folder / f"{search_key.decode()}.json").exists():
                return MessagePlace(folder, search_key, bool(self._read(folder, search_key.decode())["submitted"]))
        return None

    def abort(self, entryid: bytes) -> None:
        """Take the message back."""
        self._follow_script("abort")
        self._write("outbox", entryid.decode(), {**self._read("outbox", entryid.decode()), "submitted": 0.0})

    def delete(self, entryid: bytes) -> None:
        """Remove the message."""
        self._follow_script("delete")
        (self.root / "outbox" / f"{entryid.decode()}.json").unlink()

    def findings(self, report: ReportFindings) -> None:
        """Report the script's findings, then log on."""
        report(self.script.get("findings", {}))
        self.open()
        report({"logon": "ok"})

    def close(self) -> None:
        """Do nothing."""

    def _follow_script(self, method: str) -> None:
        if method in self.script.get("end", ()):
            raise SystemExit(3)
        while method in self.script.get("hang", ()):
            time.sleep(0.1)
        if method in self.script.get("refuse", {}):
            raise MapiError(self.script["refuse"][method], "MAPILogonEx" if method == "open" else method)

    def _read(self, folder: str, key: str) -> dict[str, Any]:
        message_file: dict[str, Any] = json.loads((self.root / folder / f"{key}.json").read_text(encoding="utf-8"))
        return message_file

    def _write(self, folder: str, key: str, message_file: Mapping[str, Any]) -> None:
        (self.root / folder / f"{key}.json").write_text(json.dumps(dict(message_file)), encoding="utf-8")
