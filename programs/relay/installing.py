"""Puts the relay into a Windows host, or puts it in again: what is not said anew stays as it was. It starts nothing."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from programs.relay import config, windows_service
from programs.relay.client import Service
from programs.relay.registry import set_up
from programs.relay.this_host import this_registry
from programs.relay.windows_calls import is_windows


def install(given: Namespace, folder: Path) -> None:
    """Keep settings and key, and put the service in. Raises ValueError for what is missing or cannot be."""
    wanted, key = _wanted(given, folder)
    Service(wanted.server, key, wanted.ca_file).close()  # an address that cannot be used is refused now
    set_up(this_registry())
    config.save(folder, wanted, key)
    print(f"Settings are in {folder}.")
    if given.no_service or not is_windows():
        return
    before = windows_service.state()
    is_new = before == windows_service.NOT_INSTALLED
    account = wanted.account if is_new or given.account is not None else None
    command = [*windows_service.program(), "--home", str(folder), "service"]
    windows_service.install(command, account, _password(given, account))
    print(
        f"The service {windows_service.TITLE} is in, as {wanted.account or 'LocalSystem, which has no mail profile'}."
    )
    print("Next: `doctor`, then `start`." if before != "running" else "It runs as before until `stop` and `start`.")


def _wanted(given: Namespace, folder: Path) -> tuple[config.Config, str]:
    try:
        before, key = config.load(folder)
    except config.NotInstalled:
        before, key = config.Config("", ""), ""
    key = given.key or config.from_environment("KEY") or key
    if not key.isascii() or not key:
        raise ValueError("give the relay's key by --key, or in TOCSIN_RELAY_KEY")
    server, profile = given.server or before.server, given.profile or before.profile
    if not server or not profile:
        raise ValueError("give --server URL and --profile NAME: nothing is installed yet that has them")
    account = before.account if given.account is None else windows_service.full_account(given.account)
    ca_file = before.ca_file if given.ca is None else str(Path(given.ca).resolve()) if given.ca else ""
    times = {name: value for name in ("logon", "submit", "drain") if (value := getattr(given, name)) is not None}
    same = {name: str(getattr(before, name)) for name in ("logon", "submit", "drain")}
    return config.Config(server, profile, account, ca_file).with_values({**same, **times}), key


def _password(given: Namespace, account: str | None) -> str:
    password: str = given.password or config.from_environment("PASSWORD")
    if account and not password and sys.stdin.isatty():
        return windows_service.ask_password(account)
    return password
