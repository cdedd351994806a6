"""Starts processes as another user and ends them with all their children, whatever programs they are."""

import os
import pwd
import time
from typing import Protocol

import psutil

GONE_S = 15


class StartedProcess(Protocol):
    """What tests do with a process that they started; `subprocess.Popen` has it too."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


def unprivileged_user(*names: str) -> pwd.struct_passwd | None:
    """Return the first of these users that exists, for programs that refuse root; None when we are not root."""
    if os.getuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid != 0}
    found = [known[name] for name in names if name in known]
    if not found:
        raise RuntimeError(f"running as root, and there is no user {' or '.join(names)} to run a program as")
    return found[0]


def kill_family(process: StartedProcess) -> None:
    """Kill a process and all that it started, and wait until none is left."""
    family = _children(process.pid)
    process.kill()  # first: a parent that outlives its children may begin to repair what they left
    for child in family:
        if _lives(child):
            child.kill()
    process.wait(GONE_S)
    end = time.monotonic() + GONE_S
    while any(_lives(child) for child in family):
        if time.monotonic() > end:
            raise RuntimeError(f"children of the killed process {process.pid} still run")
        time.sleep(0.01)


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _lives(child: psutil.Process) -> bool:
    # Where a container's first process reaps no children, a dead child stays a zombie, which holds neither memory nor sockets.
    try:
        return bool(child.is_running() and child.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
