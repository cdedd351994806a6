"""What sending needs of a mailbox, and a mailbox of files that plays one for tests and trials. Knows no MAPI.

The real ones are programs/relay/extended_mapi.py and programs/relay/simple_mapi.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from programs.relay.mime_message import MimeMessage
from programs.relay.outcomes import MapiError


@dataclass(frozen=True)
class Draft:
    """A message that is saved and not submitted; its keys find it again after a crash. Simple MAPI has none: both are empty."""

    entryid: bytes
    search_key: bytes


@dataclass(frozen=True)
class MessagePlace:
    """Where a message lies. `submitted` only means something in the Outbox."""

    folder: str  # "outbox" or "sent"
    entryid: bytes
    submitted: bool = True


class Mailbox(Protocol):
    """One profile's mailbox. Each method raises MapiRefused with what MAPI answered."""

    def open(self) -> None:
        """Log on without any dialog and open the default store."""
        ...

    def create(self, message: MimeMessage) -> Draft:
        """Save the message in the Outbox, not submitted."""
        ...

    def submit(self, draft: Draft) -> Mapping[str, Any]:
        """Submit it. Gives evidence of how, such as what a client's code page could not say."""
        ...

    def can_look(self) -> bool:
        """Say whether `find` can look into the Outbox at all; else a submitted message is only "handed to the client"."""
        ...

    def find(self, search_key: bytes, folders: Sequence[str] = ("outbox", "sent")) -> MessagePlace | None:
        """Look for a message by its search key."""
        ...

    def abort(self, entryid: bytes) -> None:
        """Take a submitted message back; MapiRefused if it cannot be had back."""
        ...

    def delete(self, entryid: bytes) -> None:
        """Remove a message that is not submitted from the Outbox."""
        ...

    def findings(self, tell: Tell) -> None:
        """Tell what doctor wants to know of the profile, piece by piece, the risky logon last."""
        ...

    def close(self) -> None:
        """Log off; never fails."""
        ...


class Tell(Protocol):
    """Takes findings as soon as they are known."""

    def __call__(self, findings: Mapping[str, Any]) -> None:
        """Take some findings."""
        ...


@dataclass
class FileMailbox:
    """Plays a mailbox: folders of files, so that several children see one Outbox. `script` says what goes wrong.

    Keys of `script`: `refuse` {method: HRESULT}, `hang` [methods], `end` [methods] (the process ends there), `drain` (seconds until a
    submitted message has left; null: never), `keeps_copies` (true), `can_look` (true), `findings` (a dict).
    """

    root: Path
    script: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> None:
        """Make the folders."""
        self._play("open")
        for name in ("outbox", "sent"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def create(self, message: MimeMessage) -> Draft:
        """Write a draft."""
        self._play("create")
        number = sum(1 for _ in self.root.glob("*/*.json")) + 1
        key = f"{number}-{time.time_ns()}"
        self._write("outbox", key, {"subject": message.subject, "id": message.message_id, "submitted": 0.0})
        return Draft(key.encode(), key.encode())

    def submit(self, draft: Draft) -> Mapping[str, Any]:
        """Note the time."""
        self._play("submit")
        words = self._read("outbox", draft.entryid.decode())
        self._write("outbox", draft.entryid.decode(), {**words, "submitted": time.time()})
        self._play("submitted")
        return {}

    def can_look(self) -> bool:
        """Say what the script says."""
        return bool(self.script.get("can_look", True))

    def find(self, search_key: bytes, folders: Sequence[str] = ("outbox", "sent")) -> MessagePlace | None:
        """Let the transport do its work, then look."""
        self._play("find")
        self._deliver()
        for folder in folders:
            if (self.root / folder / f"{search_key.decode()}.json").exists():
                return MessagePlace(folder, search_key, bool(self._read(folder, search_key.decode())["submitted"]))
        return None

    def abort(self, entryid: bytes) -> None:
        """Take it back."""
        self._play("abort")
        self._write("outbox", entryid.decode(), {**self._read("outbox", entryid.decode()), "submitted": 0.0})

    def delete(self, entryid: bytes) -> None:
        """Remove it."""
        self._play("delete")
        (self.root / "outbox" / f"{entryid.decode()}.json").unlink()

    def findings(self, tell: Tell) -> None:
        """Tell what the script says, then log on."""
        tell(self.script.get("findings", {}))
        self.open()
        tell({"logon": "ok"})

    def close(self) -> None:
        """Nothing to do."""

    def _play(self, method: str) -> None:
        if method in self.script.get("end", ()):
            raise SystemExit(3)
        while method in self.script.get("hang", ()):
            time.sleep(0.1)
        if method in self.script.get("refuse", {}):
            raise MapiError(self.script["refuse"][method], "MAPILogonEx" if method == "open" else method)

    def _deliver(self) -> None:
        drain = self.script.get("drain", 0.0)
        for path in (self.root / "outbox").glob("*.json"):
            words = json.loads(path.read_text(encoding="utf-8"))
            if words["submitted"] and drain is not None and time.time() - words["submitted"] >= drain:
                (self.root / "delivered").mkdir(exist_ok=True)
                (self.root / "delivered" / path.name).write_text(json.dumps(words), encoding="utf-8")
                if self.script.get("keeps_copies", True):
                    path.replace(self.root / "sent" / path.name)
                else:
                    path.unlink()

    def _read(self, folder: str, key: str) -> dict[str, Any]:
        words: dict[str, Any] = json.loads((self.root / folder / f"{key}.json").read_text(encoding="utf-8"))
        return words

    def _write(self, folder: str, key: str, words: Mapping[str, Any]) -> None:
        (self.root / folder / f"{key}.json").write_text(json.dumps(dict(words)), encoding="utf-8")
