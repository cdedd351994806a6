"""Loads all of `tocsin` once, and forks a process for each command: `python -m tests.support.fork_server`, for tests/support/preloaded.py.

Its standard input is a socket. A request is a JSON object (command, folder, environment) with three files: the command's stdout and
stderr, and a pipe to which its process id is written, then its exit code. A keeper, forked too, waits for each command to end.
"""

import gc
import importlib
import json
import os
import runpy
import socket
import sys

REQUEST_BYTES = 256 * 1024
LIBRARIES = (  # that a start loads late
    "aiosqlite",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "uvicorn.lifespan.on",
    "uvloop",
)


def main() -> None:
    """Fork for each request until the socket is closed. Only the process of a command returns from `_wait_for_command`, and runs it."""
    _load()
    requests = socket.socket(fileno=0)
    if (command := _wait_for_command(requests)) is None:
        return
    option, program, *words = command  # as Python's own: -m MODULE WORDS, or -c CODE WORDS
    sys.argv = [program if option == "-m" else option, *words]
    if option == "-c":
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _load() -> None:
    from app.cli.lazy_group import COMMANDS, load_command  # noqa: PLC0415  (loaded here, once)
    from app.intake.language.reader import read_words  # noqa: PLC0415

    for name in COMMANDS:
        load_command(name)
    for name in LIBRARIES:
        importlib.import_module(name)
    read_words("Backup: バックアップ")
    gc.collect()
    gc.freeze()  # or the first round of garbage collection of each process would copy all memory


def _wait_for_command(requests: socket.socket) -> list[str] | None:
    while True:
        packed, files, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 3)
        if not packed:
            return None
        keeper = os.fork()
        if keeper == 0:
            requests.detach()
            return _keep(json.loads(packed), *files)
        for file in files:
            os.close(file)
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _keep(request: dict, out: int, err: int, answers: int) -> list[str]:
    command = os.fork()
    if command == 0:
        os.close(answers)
        os.dup2(out, 1)
        os.dup2(err, 2)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        for file in (out, err, nothing):
            os.close(file)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        return request["command"]
    os.write(answers, b"%d\n" % command)
    _, status = os.waitpid(command, 0)
    os.write(answers, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


if __name__ == "__main__":
    main()
