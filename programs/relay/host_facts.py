"""Read what the doctor needs to know of the host: our account, running programs, pywin32. Reads only; little is known off Windows."""

from __future__ import annotations

import ctypes
import getpass
import importlib.util
from collections.abc import Sequence
from ctypes import wintypes
from dataclasses import dataclass
from importlib import metadata

from programs.relay.windows_calls import ProcessEntry, is_windows, library

_SNAP_PROCESSES = 0x2
_MOST_PROGRAMS = 5000


@dataclass(frozen=True)
class HostFacts:
    """What the parent knows of its host. An empty text means that it is not known.

    `test_message`: when a message last left, in words. `spool_trouble`: why the spool cannot be written to, empty if it can;
    `spool_kept`: the name of a damaged spool that is kept next to it.
    """

    account: str = ""
    account_sid: str = ""
    service_account: str = ""  # of the installed service; it may differ from ours when an administrator runs the doctor
    programs: Sequence[str] = ()  # names of the programs that run on the host
    mapi_binding: str = ""  # pywin32's version
    test_message: str = ""
    spool_trouble: str = ""
    spool_kept: str = ""


def read_host_facts(
    *, service_account: str = "", test_message: str = "", spool_trouble: str = "", spool_kept: str = ""
) -> HostFacts:
    """Read them now. The parent knows the arguments: see HostFacts."""
    programs: list[str] = []
    if is_windows():
        import win32api  # noqa: PLC0415  (Windows only)
        import win32con  # noqa: PLC0415  (Windows only)
        import win32security  # noqa: PLC0415  (Windows only)

        token = win32security.OpenProcessToken(win32api.GetCurrentProcess(), win32con.TOKEN_QUERY)
        user = win32security.GetTokenInformation(token, win32security.TokenUser)[0]
        account = f"{win32api.GetDomainName()}\\{win32api.GetUserName()}"
        sid = win32security.ConvertSidToStringSid(user)

        kernel = library("kernel32")
        kernel.CreateToolhelp32Snapshot.restype = wintypes.HANDLE
        for call in (kernel.Process32FirstW, kernel.Process32NextW):
            call.argtypes = (wintypes.HANDLE, ctypes.c_void_p)
        kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
        snapshot = kernel.CreateToolhelp32Snapshot(_SNAP_PROCESSES, 0)
        entry = ProcessEntry(size=ctypes.sizeof(ProcessEntry))
        more = kernel.Process32FirstW(snapshot, ctypes.byref(entry))
        while more and len(programs) < _MOST_PROGRAMS:
            programs.append(entry.name)
            more = kernel.Process32NextW(snapshot, ctypes.byref(entry))
        kernel.CloseHandle(snapshot)
    else:
        account, sid = getpass.getuser(), ""
    # The version of pywin32, read without loading MAPI.
    binding = ""
    try:
        if is_windows() and importlib.util.find_spec("win32com.mapi") is not None:
            binding = f"pywin32 {metadata.version('pywin32')}"
    except metadata.PackageNotFoundError:
        binding = "pywin32 of an unknown version"
    except ImportError:
        pass  # no pywin32 at all
    return HostFacts(
        account=account,
        account_sid=sid,
        service_account=service_account,
        programs=tuple(programs),
        mapi_binding=binding,
        test_message=test_message,
        spool_trouble=spool_trouble,
        spool_kept=spool_kept,
    )
