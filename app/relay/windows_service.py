"""The relay as a Windows service: put in, taken out, started, stopped, and run under the service control manager. For Windows only.

The service is Python with our one file, "<python.exe>" "<tocsin-relay.pyz>" service: nothing is copied, nothing is registered.
"""

from __future__ import annotations

import getpass
import sys
import threading
from collections.abc import Callable
from pathlib import Path

NAME = "TocsinRelay"
TITLE = "Tocsin Relay"
_ABOUT = "Sends Tocsin's mails over MAPI, without ever showing a dialog."
_AGAIN_MS = (10_000, 60_000, 300_000)  # after the first, the second and each further failure
_FORGET_FAILURES_S = 86_400


class NoService(Exception):
    """Windows refused; the text says what."""


def install(command: list[str], account: str, password: str) -> None:
    """Put the service in, to start with the host and again after a failure. Raises NoService."""
    if sys.platform == "win32":
        import pywintypes  # noqa: PLC0415  (Windows only)
        import win32service as w  # noqa: PLC0415  (Windows only)

        words = " ".join(f'"{word}"' for word in command)
        manager = w.OpenSCManager(None, None, w.SC_MANAGER_ALL_ACCESS)
        try:
            kind, start = w.SERVICE_WIN32_OWN_PROCESS, w.SERVICE_AUTO_START
            who = (account or None, password or None) if account else (None, None)
            try:
                service = w.CreateService(
                    manager, NAME, TITLE, w.SERVICE_ALL_ACCESS, kind, start, w.SERVICE_ERROR_NORMAL, words, None, 0, None, *who
                )  # fmt: skip
            except pywintypes.error as refused:
                if refused.winerror != 1073:  # noqa: PLR2004  (ERROR_SERVICE_EXISTS)
                    raise NoService(f"{refused.strerror} ({refused.winerror})") from refused
                service = w.OpenService(manager, NAME, w.SERVICE_ALL_ACCESS)
                w.ChangeServiceConfig(service, kind, start, w.SERVICE_ERROR_NORMAL, words, None, 0, None, *who, TITLE)
            again = [(w.SC_ACTION_RESTART, wait) for wait in _AGAIN_MS]
            recovery = {"ResetPeriod": _FORGET_FAILURES_S, "RebootMsg": "", "Command": "", "Actions": again}
            _tolerant(lambda: w.ChangeServiceConfig2(service, w.SERVICE_CONFIG_FAILURE_ACTIONS, recovery))
            _tolerant(lambda: w.ChangeServiceConfig2(service, w.SERVICE_CONFIG_DESCRIPTION, _ABOUT))
            w.CloseServiceHandle(service)
        finally:
            w.CloseServiceHandle(manager)
    else:
        raise NoService("only Windows has services; use `run`")


def _tolerant(act: Callable[[], None]) -> None:
    """Leave out what this Windows does not know: the service works without it."""
    if sys.platform == "win32":
        import pywintypes  # noqa: PLC0415  (Windows only)

        try:
            act()
        except (pywintypes.error, NotImplementedError) as refused:
            sys.stderr.write(f"note: {refused}\n")


def control(what: str) -> None:
    """Start, stop or remove the service. Raises NoService."""
    if sys.platform == "win32":
        import pywintypes  # noqa: PLC0415  (Windows only)
        import win32serviceutil as util  # noqa: PLC0415  (Windows only)

        try:
            if what == "start":
                util.StartService(NAME)
                util.WaitForServiceStatus(NAME, 4, 30)  # SERVICE_RUNNING
            elif what == "stop":
                util.StopServiceWithDeps(NAME, waitSecs=40)
            else:
                util.RemoveService(NAME)
        except pywintypes.error as refused:
            raise NoService(f"{refused.strerror} ({refused.winerror})") from refused
    else:
        raise NoService("only Windows has services; use `run`")


def state() -> str:
    """Say in a word how the service is."""
    if sys.platform == "win32":
        import pywintypes  # noqa: PLC0415  (Windows only)
        import win32serviceutil as util  # noqa: PLC0415  (Windows only)

        words = {1: "stopped", 2: "starting", 3: "stopping", 4: "running", 7: "paused"}
        try:
            return words.get(util.QueryServiceStatus(NAME)[1], "between two states")
        except pywintypes.error:
            return "not installed"
    else:
        return "not a Windows host"


def host(work: Callable[[threading.Event], None]) -> None:
    """Run `work` as the service that the control manager started; it must return soon once the event is set."""
    if sys.platform == "win32":
        import servicemanager  # noqa: PLC0415  (Windows only)
        import win32service  # noqa: PLC0415  (Windows only)
        import win32serviceutil  # noqa: PLC0415  (Windows only)

        class _Service(win32serviceutil.ServiceFramework):
            _svc_name_ = NAME
            _svc_display_name_ = TITLE

            def __init__(self, args: object) -> None:
                super().__init__(args)
                self.stopping = threading.Event()

            def SvcStop(self) -> None:  # noqa: N802  (Windows' name)
                self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING, waitHint=45_000)
                self.stopping.set()

            SvcShutdown = SvcStop

            def SvcDoRun(self) -> None:  # noqa: N802  (Windows' name)
                work(self.stopping)

        servicemanager.Initialize(NAME, None)
        servicemanager.PrepareToHostSingle(_Service)
        servicemanager.StartServiceCtrlDispatcher()
    else:
        raise NoService("only Windows has services; use `run`")


def full_account(account: str) -> str:
    """Give an account as the control manager wants it: `user` alone is one of this host."""
    return account if not account or "\\" in account or "@" in account else f".\\{account}"


def ask_password(account: str) -> str:
    """Ask for the account's password; it goes to Windows and is kept nowhere else."""
    return getpass.getpass(f"Password of {account}: ")


def program() -> list[str]:
    """Give the command that starts this very program."""
    place = Path(sys.argv[0]).resolve()
    return [sys.executable, str(place)] if place.suffix == ".pyz" else [sys.executable, "-m", "app.relay"]
