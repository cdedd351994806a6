"""Keeps the relay's folder to those whom it concerns: administrators, Windows itself, and the service's account. It lies where all users may read otherwise."""

from __future__ import annotations

import sys
from pathlib import Path


def keep_to(folder: Path, account: str) -> None:
    """Make the folder and what will lie in it readable by nobody else. Raises ValueError for an account that Windows does not know."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if sys.platform == "win32":
        import ntsecuritycon  # noqa: PLC0415  (Windows only)
        import pywintypes  # noqa: PLC0415  (Windows only)
        import win32security as ws  # noqa: PLC0415  (Windows only)

        holders = [
            ws.CreateWellKnownSid(ws.WinBuiltinAdministratorsSid, None),
            ws.CreateWellKnownSid(ws.WinLocalSystemSid, None),
        ]
        if account:
            try:
                holders.append(ws.LookupAccountName(None, account.removeprefix(".\\"))[0])
            except pywintypes.error as refused:
                raise ValueError(f"--account {account}: Windows does not know it ({refused.strerror})") from refused
        rights = ws.ACL()
        for holder in holders:
            below = ws.OBJECT_INHERIT_ACE | ws.CONTAINER_INHERIT_ACE
            rights.AddAccessAllowedAceEx(ws.ACL_REVISION_DS, below, ntsecuritycon.FILE_ALL_ACCESS, holder)
        what = ws.DACL_SECURITY_INFORMATION | ws.PROTECTED_DACL_SECURITY_INFORMATION
        ws.SetNamedSecurityInfo(str(folder), ws.SE_FILE_OBJECT, what, None, None, rights, None)
