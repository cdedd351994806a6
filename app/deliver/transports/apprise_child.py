"""The process that sends one message by Apprise: reads JSON from standard input, writes how it ended as JSON to standard output.

Its environment holds nothing of ours. Apprise's services connect by themselves, so the one rule about private addresses is enforced
at the connections of this process; it can start no program, cannot write files, and reads only those of Python and its packages: the URLs
of some services name a file of this host (`template=`, `keyfile=`), whose content would be sent there.
"""

import ipaddress
import json
import logging
import mimetypes
import os
import re
import resource
import sys
import sysconfig

from app.deliver.transports.public_only import is_public

MEMORY_MOST = (
    256 * 1024 * 1024
)  # of data; Apprise with all its plugins needs 50 MiB, and plugins keep a whole answer in memory
_STATUS = re.compile(r"error=(\d{3})\b")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PACKAGES = tuple(
    os.path.realpath(path) + os.sep
    for name, path in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_SYSTEM_FILES = (*mimetypes.knownfiles, "/etc/localtime")
_FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn")


class ForbiddenHere(Exception):
    """This process may not do that."""


class _Status(logging.Handler):
    """Keeps the HTTP status that a service answered with, and whether its plugin ran out of memory, which Apprise reports as any failure.

    Nothing else of Apprise's log is kept: it can contain tokens.
    """

    status = ""
    out_of_memory = False

    def emit(self, record: logging.LogRecord) -> None:
        found = _STATUS.search(record.getMessage())
        self.status = found[1] if found else self.status
        cause = sys.exc_info()[1]
        while cause is not None:
            self.out_of_memory = self.out_of_memory or isinstance(cause, MemoryError)
            cause = cause.__context__


def guard_process(*, allow_private: bool) -> list[str]:
    """Forbid what no message needs, and return the list in which refused addresses are noted."""
    refused: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and not _may_open(*arguments):
            raise PermissionError("this file is not opened here")
        if event in _FORBIDDEN:
            refused.append("a program")
            raise ForbiddenHere("no program is started")
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = arguments[1]
            if address is None:
                return
            host = address[0] if isinstance(address, tuple) else ""
            if not host or not (allow_private or is_public(ipaddress.ip_address(str(host)))):
                refused.append("an address")
                raise ConnectionRefusedError("this address is not reached")

    sys.addaudithook(hook)
    return refused


def _may_open(path: object, mode: object, flags: object) -> bool:
    """Return whether a file may be opened: one of Python or a package, to read it."""
    if isinstance(path, int):
        return True
    if (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & _WRITING):
        return False
    name = os.path.realpath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else ""
    return (
        name.startswith((*_PACKAGES, "/usr/share/zoneinfo/")) or name.endswith((".py", ".pyc")) or path in _SYSTEM_FILES
    )


def send(order: dict[str, object]) -> dict[str, str]:
    """Send it, and return `{"outcome": "sent" | "refused" | "private" | "url" | "memory" | "extra", "status"}`."""
    try:
        import apprise  # noqa: PLC0415  (before the guard: it looks for programs as it is loaded)
    except ImportError:
        return {"outcome": "extra", "status": ""}

    kept = _Status()
    logging.getLogger("apprise").addHandler(kept)
    logging.getLogger("apprise").propagate = False
    service = apprise.Apprise()
    asset = apprise.AppriseAsset(app_id="Tocsin", app_desc="Tocsin", async_mode=False, body_format="text")
    service.asset = asset
    apprise.Apprise.instantiate("json://localhost")  # which loads the plugins of all services
    refused = guard_process(allow_private=bool(order["allow_private"]))
    if not service.add(str(order["url"])):
        return {"outcome": "url", "status": ""}
    try:
        is_sent = service.notify(title=str(order["title"]), body=str(order["body"]), notify_type=str(order["kind"]))
    except MemoryError:
        return {"outcome": "memory", "status": kept.status}
    if kept.out_of_memory:
        return {"outcome": "memory", "status": kept.status}
    if is_sent:
        return {"outcome": "sent", "status": kept.status}
    return {"outcome": "private" if refused else "refused", "status": kept.status}


if __name__ == "__main__":
    # Without it, a service that answers without end would take the memory of the whole worker.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MOST, MEMORY_MOST))
    sys.stdout.write(json.dumps(send(json.load(sys.stdin))))
