"""The worker of `tocsin serve` on PostgreSQL: a process of its own, so that deciding and sending do not take the core that takes events.

    server ---- control ----> starter ---- fork ----> worker
      └──────────────────── lifeline ───────────────────┘

The starter is forked from the server before that has threads or an event loop, which no fork survives. It has loaded all code, forks each
worker at once, waits for its end and reports it; a worker so shares most of its memory with the server. main.py starts it again.

A worker stops when its lifeline closes: the server closes it to stop it, and the system does so when the server ends, however that
happens. Over it, the worker names the setting that it cannot use.
"""

import asyncio
import contextlib
import importlib
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

import uvloop

from app.context import AppContext
from app.core.errors import BadSettings
from app.core.garbage import freeze_loaded
from app.core.loading import load_in_turn
from app.core.log import log
from app.core.periodic import wait_through_cancellations
from app.core.settings import Settings

_NUMBER = struct.Struct("<i")
_STOP_S = 13.0  # the worker itself takes ten at most
_REASON_MOST = 2000


class WorkerEnded(Exception):
    """The process of the worker ended by itself, or somebody killed it."""


async def run_here(context: AppContext) -> None:
    """Run the worker in this process. It is imported while the service takes events already."""
    worker = await load_in_turn(lambda: importlib.import_module("app.worker"))
    await worker.run(context)


@contextlib.contextmanager
def starting_workers(settings: Settings, *unused: socket.socket) -> Iterator["WorkerStarter"]:
    """Fork the starter, and end it with the block. It closes the sockets of the server that it has no use for."""
    ours, theirs = socket.socketpair()
    with contextlib.suppress(OSError):  # else the starter would write once more what waits in it
        sys.stdout.flush()
    starter = os.fork()
    if starter == 0:
        _start_workers(settings, theirs, (ours, *unused))
    theirs.close()
    try:
        ours.setblocking(False)  # noqa: FBT003  (its argument has no name)
        yield WorkerStarter(ours)
    finally:
        ours.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(starter, 0)


@dataclass(slots=True)
class WorkerStarter:
    """The starter, as the server sees it. `is_gone` once somebody has killed it: the worker then runs in the server."""

    control: socket.socket
    is_gone: bool = False
    worker: int = 0  # its process

    async def run(self, context: AppContext) -> None:
        """Run a worker until cancelled, then stop it. Raises BadSettings or WorkerEnded when it ends before that."""
        if self.is_gone:
            log.error(
                "the process that starts the worker has ended: until the next restart, the worker runs in the server"
            )
            await run_here(context)
            return
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, contextlib.suppress(OSError):
                socket.send_fds(self.control, [b"s"], [theirs.fileno()])
            ended = asyncio.create_task(self._wait())
            try:
                how = await asyncio.shield(ended)
            except asyncio.CancelledError:
                ours.close()
                await wait_through_cancellations(ended, _STOP_S)
                if not ended.done() and self.worker:
                    log.error(
                        "the worker did not stop in time and is killed; the messages it was sending become unknown when their leases expire"
                    )
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self.worker, signal.SIGKILL)
                    await wait_through_cancellations(ended, 1)
                raise
            ours.setblocking(False)  # noqa: FBT003
            with contextlib.suppress(OSError):
                if reason := ours.recv(_REASON_MOST):
                    raise BadSettings(reason.decode("utf-8", "replace"))
        raise WorkerEnded(how)

    async def _wait(self) -> str:
        """Wait for the end of the worker and return how it ended."""
        try:
            self.worker = await self._number()
            code = await self._number()
        except (OSError, struct.error):
            self.is_gone = True
            return "the process that starts workers was killed"
        return f"process {self.worker}: exit code {code}" if code >= 0 else f"process {self.worker}: signal {-code}"

    async def _number(self) -> int:
        (number,) = _NUMBER.unpack(await asyncio.get_running_loop().sock_recv(self.control, _NUMBER.size))
        return int(number)


def _start_workers(settings: Settings, server: socket.socket, unused: Iterable[socket.socket]) -> NoReturn:
    """Be the starter, until the server has ended."""
    try:
        for one in unused:  # above all the listener: a new server must be able to take its port when only we are left
            one.close()
        for name in (
            signal.SIGINT,
            signal.SIGTERM,
        ):  # a terminal or systemd sends them to all processes; the server decides
            signal.signal(name, signal.SIG_IGN)
        importlib.import_module("app.cli.worker")
        freeze_loaded()  # a round of the garbage collector would copy all pages that are shared
        while (lifelines := socket.recv_fds(server, 1, 1)[1]) and len(lifelines) == 1:
            with socket.socket(fileno=lifelines[0]) as lifeline:
                worker = os.fork()
                if worker == 0:
                    server.close()
                    _work(settings, lifeline)
            server.sendall(_NUMBER.pack(worker))
            _, status = os.waitpid(worker, 0)
            server.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))
    finally:
        os._exit(0)  # nothing of the server's may be cleaned up here


def _work(settings: Settings, lifeline: socket.socket) -> NoReturn:
    """Be the worker, until the lifeline closes."""
    from app.cli.worker import work  # noqa: PLC0415  (the server does not load it)

    code = 1
    try:
        uvloop.run(work(settings, until_closed=lifeline))
        code = 0
    except BadSettings as wrong:
        with contextlib.suppress(OSError):
            lifeline.send(wrong.detail.encode())
    except Exception:  # noqa: BLE001  (the boundary of the process)
        log.exception("the worker stopped")
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
