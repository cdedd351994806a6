"""The account that the service runs as: whether it exists, its right, its password, and its mail profiles. Windows only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from programs.relay.windows_calls import NotWindows, is_wine

with contextlib.suppress(ImportError):  # other systems have none of it, and nothing here is called there
    import pywintypes
    import win32profile
    import win32security as ws

_OFFICE = r"Software\Microsoft\Office\{}\Outlook"
_MAPI = r"Software\Microsoft\Windows NT\CurrentVersion\Windows Messaging Subsystem"
# Where profiles lie since Outlook 2013, then before: the key with the list, and the one with the default's name.
_PROFILES = (
    (_OFFICE.format("16.0") + r"\Profiles", _OFFICE.format("16.0")),
    (_OFFICE.format("15.0") + r"\Profiles", _OFFICE.format("15.0")),
    (_MAPI + r"\Profiles", _MAPI + r"\Profiles"),
)
_MOST_PROFILES = 100
_DENIED = 5
# What LogonUser answers (winerror.h), and what to do about it.
_REFUSALS: Mapping[int, str] = {
    1326: "the password is wrong",
    1327: "Windows allows no empty password here: set one",
    1328: "the account may not log on at this time of the day: change its logon hours",
    1329: "the account may not log on at this host: change that in Active Directory",
    1330: "the password has expired: set a new one, with `Password never expires`",
    1331: "the account is disabled: enable it",
    1385: 'a group policy takes the right "Log on as a service" away: add the account there (User Rights Assignment)',
    1793: "the account has expired: extend it",
    1907: "the password must be changed first: set a new one, without `User must change password at next logon`",
    1909: "the account is locked after wrong passwords: unlock it, then run setup again",
}


class AccountRefused(Exception):
    """The account cannot be used; the text says why and what to do."""


class NotChecked(Exception):
    """This Windows cannot do that; the text says why. The set-up goes on without it."""


@dataclass(frozen=True)
class Profiles:
    """The mail profiles of an account, and which one its programs use by default."""

    names: Sequence[str]
    default: str = ""


def sid_of(account: str) -> str:
    """Return the account's SID as text. Raises AccountRefused if Windows does not know it."""
    try:
        sid, _, kind = ws.LookupAccountName(None, account.removeprefix(".\\"))
    except pywintypes.error as refused:
        raise AccountRefused(f"Windows does not know {account} ({refused.strerror}): write DOMAIN\\user") from refused
    if kind != ws.SidTypeUser:
        raise AccountRefused(f"{account} is no user but a group or a computer: write DOMAIN\\user")
    return str(ws.ConvertSidToStringSid(sid))


def let_log_on_as_service(account: str) -> None:
    """Grant the account the right "Log on as a service"; it may have it already. Raises AccountRefused, NotChecked."""
    if is_wine():
        raise NotChecked("Wine grants whatever it is asked for, and keeps nothing of it")
    try:
        policy = ws.LsaOpenPolicy(None, ws.POLICY_LOOKUP_NAMES | ws.POLICY_CREATE_ACCOUNT)
        try:
            sid = ws.LookupAccountName(None, account.removeprefix(".\\"))[0]
            ws.LsaAddAccountRights(policy, sid, ("SeServiceLogonRight",))
        finally:
            ws.LsaClose(policy)
    except pywintypes.error as refused:
        why = "run this as administrator" if refused.winerror == _DENIED else "grant it in secpol.msc"
        raise AccountRefused(f"{refused.strerror} ({refused.winerror}): {why}") from refused


@contextlib.contextmanager
def logged_on(account: str, password: str) -> Iterator[Any]:
    """Log the account on as Windows will for the service, and yield its token. Raises AccountRefused, NotChecked."""
    if is_wine():
        raise NotChecked("Wine accepts every password")
    name, domain = account.removeprefix(".\\"), "." if account.startswith(".\\") else None
    if "\\" in name:
        domain, _, name = name.partition("\\")
    try:
        token = ws.LogonUser(name, domain, password, ws.LOGON32_LOGON_SERVICE, ws.LOGON32_PROVIDER_DEFAULT)
    except pywintypes.error as refused:
        why = _REFUSALS.get(refused.winerror, f"{refused.strerror} ({refused.winerror})")
        raise AccountRefused(why) from refused
    with contextlib.closing(token):
        yield token


def profiles_of(account: str, sid: str, token: Any) -> Profiles:  # noqa: ANN401  (pywin32's handle; None if there is none)
    """Return the account's mail profiles, from its part of the registry, which is loaded for that if it is not. Raises NotChecked."""
    found = _read_profiles(sid)
    if found is not None:
        return found
    if token is None:
        raise NotChecked(f"{account} is not logged on, and without its password its settings cannot be loaded")
    try:
        loaded = win32profile.LoadUserProfile(token, {"UserName": account, "Flags": win32profile.PI_NOUI})
    except pywintypes.error as refused:
        why = f"the settings of {account} cannot be loaded: {refused.strerror} ({refused.winerror})"
        raise NotChecked(why) from refused
    try:
        return _read_profiles(sid) or Profiles(())
    finally:
        win32profile.UnloadUserProfile(token, loaded)


def _read_profiles(sid: str) -> Profiles | None:
    """Return the profiles below HKEY_USERS; None if this account's part is not loaded."""
    if sys.platform == "win32":
        import winreg  # noqa: PLC0415  (Windows only)

        names: dict[str, str] = {}
        default = ""
        try:
            user = winreg.OpenKey(winreg.HKEY_USERS, sid)
        except OSError:
            return None
        with user:
            for list_key, default_key in _PROFILES:
                with contextlib.suppress(OSError), winreg.OpenKey(user, list_key) as opened:
                    for index in range(min(winreg.QueryInfoKey(opened)[0], _MOST_PROFILES)):
                        name = winreg.EnumKey(opened, index)
                        names.setdefault(name.lower(), name)
                with contextlib.suppress(OSError), winreg.OpenKey(user, default_key) as opened:
                    default = default or str(winreg.QueryValueEx(opened, "DefaultProfile")[0])
        return Profiles(tuple(names.values()), default)
    raise NotWindows("mail profiles")
