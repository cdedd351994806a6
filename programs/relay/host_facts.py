"""Read what the doctor needs to know of the host: our account, running programs, pywin32. Reads only; little is known off Windows."""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True)
class HostFacts:
    """What the parent knows of its host. An empty text means that it is not known.

    `test_message`: when a message last left, in words. `spool_trouble`: why the spool cannot be written to, empty if it can;
    `spool_kept`: the name of a damaged spool that is kept next to it.
    """

    account: str = ""
    account_sid: str = ""
    service_account: str = ""  # of the installed service; it may differ from ours when an administrator runs the doctor
    service_sid: str = ""
    programs: Sequence[str] = ()  # names of the programs that run on the host
    mapi_binding: str = ""  # pywin32's version
    test_message: str = ""
    spool_trouble: str = ""
    spool_kept: str = ""

    @property
    def is_service_account(self) -> bool:
        """Whether this process sees what the service sees: mail profiles belong to an account."""
        if self.account_sid and self.service_sid:
            return self.account_sid == self.service_sid
        return not self.service_account or _user(self.service_account) == _user(self.account)


def read_host_facts(
    *, service_account: str = "", test_message: str = "", spool_trouble: str = "", spool_kept: str = ""
) -> HostFacts:
    """Read them now. The parent knows the arguments: see HostFacts."""
    programs: tuple[str, ...] = ()
    account, sid, service_sid = getpass.getuser(), "", ""
    binding = ""
    try:
        # The version of pywin32, read without loading MAPI.
        if importlib.util.find_spec("win32com.mapi") is not None:
            binding = f"pywin32 {metadata.version('pywin32')}"
    except metadata.PackageNotFoundError:
        binding = "pywin32 of an unknown version"
    except ImportError:
        pass  # no pywin32 at all
    if sys.platform == "win32" and binding:
        import pywintypes  # noqa: PLC0415  (Windows only)
        import win32api  # noqa: PLC0415  (Windows only)
        import win32con  # noqa: PLC0415  (Windows only)
        import win32security as ws  # noqa: PLC0415  (Windows only)
        import win32ts  # noqa: PLC0415  (Windows only)

        token = ws.OpenProcessToken(win32api.GetCurrentProcess(), win32con.TOKEN_QUERY)
        sid = ws.ConvertSidToStringSid(ws.GetTokenInformation(token, ws.TokenUser)[0])
        account = f"{win32api.GetDomainName()}\\{win32api.GetUserName()}"
        with contextlib.suppress(pywintypes.error):  # its domain may be out of reach
            service_sid = ws.ConvertSidToStringSid(ws.LookupAccountName(None, service_account.removeprefix(".\\"))[0])
        with contextlib.suppress(pywintypes.error):
            programs = tuple(name for _, _, name, _ in win32ts.WTSEnumerateProcesses())
    return HostFacts(
        account, sid, service_account, service_sid, programs, binding, test_message, spool_trouble, spool_kept
    )


def _user(account: str) -> str:
    return account.replace("/", "\\").rsplit("\\", 1)[-1].split("@")[0].lower()
