"""Runs a command of `tocsin` that sees host names and a certificate authority of a test's own: names of public services lead to this host.

The command's process gets a mount namespace of its own (mount_namespaces(7), for which root is needed), in which /etc/hosts has only these
names, no name server is known, and the authorities of `certifi`, which Apprise trusts, are the test's. So nothing can leave this host.
"""

import ctypes
import os
from pathlib import Path

import certifi

_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x00020000, 0x1000, 0x4000, 1 << 18
_RUN = (
    "import runpy; from pathlib import Path; from tests.support.own_names import see; "
    "see({hosts!r}, {authority!r}); runpy.run_module('app.cli', run_name='__main__', alter_sys=True)"
)


def is_possible() -> bool:
    """Return whether this process may make a mount namespace."""
    return os.geteuid() == 0 and hasattr(ctypes.CDLL(None), "unshare")


def serve_command(folder: Path, names: dict[str, str], authority: Path) -> list[str]:
    """Return what Python is to run so that the service sees these names (name to address) and trusts this certificate (PEM)."""
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{address} {name}\n" for name, address in names.items()), encoding="utf-8")
    return ["-c", _RUN.format(hosts=str(hosts), authority=str(authority)), "serve"]


def see(hosts: str, authority: str) -> None:
    """Let this process, and all that it starts, see these files. It must have one thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    nothing = Path(hosts).with_name("resolv.conf")
    nothing.write_text("", encoding="utf-8")
    _check(libc.unshare(_CLONE_NEWNS))
    _check(libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))
    for source, target in ((hosts, "/etc/hosts"), (nothing, "/etc/resolv.conf"), (authority, certifi.where())):
        place = Path(target).resolve()
        if place.exists():
            _check(libc.mount(os.fsencode(source), os.fsencode(place), None, ctypes.c_ulong(_MS_BIND), None))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
