"""Loads the chosen mail client's own DLL, and refuses before it is loaded what would show a dialog or be another client.

pywin32 itself would load the host's default client, which may be Outlook Express.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from programs.relay.mail_clients import is_loadable, machine_of_file
from programs.relay.outcomes import Declined, Outcome, Verdict
from programs.relay.windows_calls import library_at


def load_extended(client: Mapping[str, Any]) -> None:
    """Load the client that pywin32 will then find. Raises Declined."""
    if not is_loadable(client):
        words = (
            f"pywin32 would load the host's default mail client instead of {client.get('name')}: make it the default"
        )
        raise Declined(Verdict(Outcome.INCOMPATIBLE_CLIENT, words, {"client": client.get("name")}))
    load(client)


def load(client: Mapping[str, Any]) -> Any:  # noqa: ANN401  (ctypes.WinDLL)
    """Load the client's DLL from where the registry says. Raises Declined."""
    path, name = str(client.get("dll", "")), client.get("name")
    machine, ours = machine_of_file(path), machine_of_file(sys.executable)
    if machine is None or (ours is not None and machine != ours):
        outcome = Outcome.INCOMPATIBLE_CLIENT if machine is None else Outcome.BITNESS
        words = f"{name}: {path} is {machine or 'not there or no DLL'}, this Python is {ours}"
        raise Declined(Verdict(outcome, words, {"client": name}))
    try:
        return library_at(path)
    except OSError as error:
        words = f"{name}: {path} cannot be loaded (error {getattr(error, 'winerror', error.errno)})"
        raise Declined(Verdict(Outcome.INCOMPATIBLE_CLIENT, words, {"client": name})) from error
