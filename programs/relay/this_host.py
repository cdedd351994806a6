"""Gives the host's own parts: where children are started, and the registry. The one place that tells Windows from the rest."""

from __future__ import annotations

import sys

from programs.relay.confine import Host, PosixHost
from programs.relay.registry import Hive, PlayedHive


def this_host() -> Host:
    """Give the host that this process runs on."""
    if sys.platform == "win32":
        from programs.relay.confine_windows import WindowsHost  # noqa: PLC0415  (it cannot be imported elsewhere)

        return WindowsHost()
    else:  # noqa: RET505  (mypy then judges either branch on its own system)
        return PosixHost()


def this_registry() -> Hive:
    """Give this host's registry; an empty one where there is none."""
    if sys.platform == "win32":
        from programs.relay.registry_windows import WindowsHive  # noqa: PLC0415  (it cannot be imported elsewhere)

        return WindowsHive()
    else:  # noqa: RET505  (mypy then judges either branch on its own system)
        return PlayedHive()
