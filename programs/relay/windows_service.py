"""The relay as a Windows service: installed, removed, started, stopped, and run under the service control manager. Windows only.

The service is Python with our one file, "<python.exe>" "<tocsin-relay.pyz>" service: nothing is copied, nothing is registered.
"""

from __future__ import annotations

import contextlib
import getpass
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from programs.relay.windows_accounts import AccountRefused, NotChecked, let_log_on_as_service
from programs.relay.windows_calls import is_windows

with contextlib.suppress(ImportError):  # on other systems only what asks for an account or a state is called
    import pywintypes
    import servicemanager
    import win32evtlogutil
    import win32service as w
    import win32serviceutil

NAME = "TocsinRelay"
TITLE = "Tocsin Relay"
NOT_INSTALLED = "not installed"
_SYSTEM_ACCOUNTS = ("localsystem", "system", "localservice", "networkservice", "anonymouslogon")
_ABOUT = "Sends Tocsin's mails over MAPI, without ever showing a dialog."
_AGAIN_MS = (10_000, 60_000, 300_000)  # after the first, the second and each further failure
_FORGET_FAILURES_S = 86_400
_GONE_S = 15.0
_IS_NOT, _RUNS_ALREADY, _DOES_NOT_RUN = 1060, 1056, 1062


class ServiceRefused(Exception):
    """Windows refused; the text says what."""


def install(command: list[str], account: str | None, password: str) -> None:
    """Install the service, to start with the host and again after a failure. Raises ServiceRefused.

    `account` None leaves its account unchanged.
    """
    _need_windows()
    command_line = " ".join(f'"{word}"' for word in command)
    what = (w.SERVICE_WIN32_OWN_PROCESS, w.SERVICE_AUTO_START, w.SERVICE_ERROR_NORMAL, command_line, None, 0, None)
    logon = (account, password or None) if account else (None, None)
    try:
        manager = w.OpenSCManager(None, None, w.SC_MANAGER_ALL_ACCESS)
        if state() == NOT_INSTALLED:
            service = w.CreateService(manager, NAME, TITLE, w.SERVICE_ALL_ACCESS, *what, *logon)
        else:
            service = w.OpenService(manager, NAME, w.SERVICE_ALL_ACCESS)
            w.ChangeServiceConfig(service, *what, *logon, TITLE)
    except (
        pywintypes.error
    ) as refused:  # no administrator, an account that does not exist, a service that is being removed
        raise ServiceRefused(f"{refused.strerror} ({refused.winerror})") from refused
    w.CloseServiceHandle(manager)
    # The service works without all that follows.
    again = [(w.SC_ACTION_RESTART, wait) for wait in _AGAIN_MS]
    recovery = {"ResetPeriod": _FORGET_FAILURES_S, "RebootMsg": "", "Command": "", "Actions": again}
    change, yes = w.ChangeServiceConfig2, True
    _tolerant("recovery actions", lambda: change(service, w.SERVICE_CONFIG_FAILURE_ACTIONS, recovery))
    # Without this flag Windows restarts only a service that crashed, not one that ended by reporting a failure.
    _tolerant("recovery after an error", lambda: change(service, w.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, yes))
    _tolerant("description", lambda: change(service, w.SERVICE_CONFIG_DESCRIPTION, _ABOUT))
    # The service's account may not do this itself; its messages would then appear as "description cannot be found".
    _tolerant("event log", lambda: win32evtlogutil.AddSourceToRegistry(NAME, servicemanager.__file__))
    if account:
        _tolerant('right "Log on as a service" (grant it in secpol.msc)', lambda: let_log_on_as_service(account))
    w.CloseServiceHandle(service)


def _need_windows() -> None:
    if not is_windows():
        raise ServiceRefused("only Windows has services; use `run`")


def _tolerant(what: str, act: Callable[[], None]) -> None:
    """Skip what this Windows does not know or does not allow, and print that: the service works without it."""
    try:
        act()
    except (pywintypes.error, NotImplementedError, AccountRefused, NotChecked) as refused:
        sys.stderr.write(f"note: no {what}: {refused}\n")


def control(what: str) -> None:
    """Start, stop or remove the service. It is no error if that is its state already. Raises ServiceRefused."""
    _need_windows()
    try:
        {"start": _start, "stop": _stop, "remove": _remove}[what]()
    except pywintypes.error as refused:
        if refused.winerror == _IS_NOT:
            raise ServiceRefused("no service is installed: run `install`") from refused
        see = "; its folder's relay.log may say why" if what == "start" else ""
        raise ServiceRefused(f"{refused.strerror} ({refused.winerror}){see}") from refused


def _start() -> None:
    try:
        win32serviceutil.StartService(NAME)
    except pywintypes.error as refused:
        if refused.winerror != _RUNS_ALREADY:
            raise
    win32serviceutil.WaitForServiceStatus(NAME, w.SERVICE_RUNNING, 60)


def _stop() -> None:
    try:
        win32serviceutil.StopService(NAME)
    except pywintypes.error as refused:
        if refused.winerror != _DOES_NOT_RUN:
            raise
    win32serviceutil.WaitForServiceStatus(NAME, w.SERVICE_STOPPED, 60)


def _remove() -> None:
    _stop()
    win32serviceutil.RemoveService(NAME)
    # It is only marked for deletion while its process ends: an installation right after that would be refused.
    until = time.monotonic() + _GONE_S
    while state() != NOT_INSTALLED and time.monotonic() < until:
        time.sleep(0.1)
    _tolerant("source in the event log to remove", lambda: win32evtlogutil.RemoveSourceFromRegistry(NAME))
    if state() != NOT_INSTALLED:
        raise ServiceRefused("Windows removes it later, once its process and each window that shows it have ended")


def state() -> str:
    """Return the service's state in words."""
    if not is_windows():
        return "not a Windows host"
    names = {1: "stopped", 2: "starting", 3: "stopping", 4: "running", 7: "paused"}
    try:
        return names.get(win32serviceutil.QueryServiceStatus(NAME)[1], "between two states")
    except pywintypes.error:
        return NOT_INSTALLED


def account() -> str:
    """Return the account under which the service runs, as the control manager has it; empty if there is no service."""
    if not is_windows():
        return ""
    try:
        service = w.OpenService(w.OpenSCManager(None, None, w.SC_MANAGER_CONNECT), NAME, w.SERVICE_QUERY_CONFIG)
        return str(w.QueryServiceConfig(service)[7])
    except pywintypes.error:
        return ""


def check_account(account: str) -> None:
    """Refuse an account that has no mail profile. Raises ServiceRefused."""
    name = account.replace(" ", "").lower().rsplit("\\", 1)[-1]
    if not name or name in _SYSTEM_ACCOUNTS:
        who = account or "LocalSystem, as a service without an account does"
        raise ServiceRefused(
            f"set --account DOMAIN\\user, the account whose mail profile it uses: as {who}, it would have no mail profile and could send nothing"
        )


def host(work: Callable[[threading.Event], None]) -> None:
    """Run `work` as the service that the control manager started. It must return soon after the event is set."""
    _need_windows()

    class _Service(win32serviceutil.ServiceFramework):  # type: ignore[misc]  # pywin32 has no types
        _svc_name_ = NAME
        _svc_display_name_ = TITLE

        def __init__(self, args: object) -> None:
            super().__init__(args)
            self.stopping = threading.Event()

        def SvcStop(self) -> None:  # noqa: N802  (Windows' name)
            self.ReportServiceStatus(w.SERVICE_STOP_PENDING, waitHint=45_000)
            self.stopping.set()

        SvcShutdown = SvcStop

        def SvcDoRun(self) -> None:  # noqa: N802  (Windows' name)
            work(self.stopping)

    servicemanager.Initialize(NAME, None)
    servicemanager.PrepareToHostSingle(_Service)
    servicemanager.StartServiceCtrlDispatcher()


def full_account(account: str) -> str:
    """Return an account as the control manager wants it: `user` alone is an account of this host."""
    return account if not account or "\\" in account or "@" in account else f".\\{account}"


def ask_password(account: str) -> str:
    """Ask for the account's password; it goes to Windows and is stored nowhere else."""
    return getpass.getpass(f"Password of {account}: ")


def program() -> list[str]:
    """Return the command that starts this program."""
    place = Path(sys.argv[0]).resolve()
    return [sys.executable, str(place)] if place.suffix == ".pyz" else [sys.executable, "-m", "programs.relay"]
