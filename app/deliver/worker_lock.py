"""Files in the data folder that are locked by workers: a lock that is free proves that the worker whose name is in the file is dead.

The kernel drops such a lock at the end of a process, however it ended. A connection to the database proves less: it can break while its
worker goes on sending, and what is taken from such a worker is sent twice.

Next to the name is the boot id of the kernel that holds the lock. Under another kernel a free lock proves nothing: file systems that are shared
over a network often keep locks within one host, and two hosts or containers can have the same name.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.core.log import log

MOST = 32  # workers with one data folder; what a further worker leaves behind is sent again when its leases expire
_NAME_MOST = 400
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class WorkerLock:
    """The locks that this process holds. `dead`: the names of workers that held them before."""

    def __init__(self, files: list[int], prefix: str, kernel: str) -> None:
        self._files, self._kernel = files, kernel
        self.dead = sorted({name for file in files if (name := _name_in(file, kernel)).startswith(prefix)})

    def keep_one(self, worker: str) -> None:
        """Keep one lock, under the name of this worker: whoever finds it free takes back what that name leased."""
        try:
            while len(self._files) > 1:
                file = self._files.pop()
                try:
                    os.ftruncate(file, 0)
                finally:
                    os.close(file)
            for file in self._files:
                os.ftruncate(file, 0)
                os.pwrite(file, f"{worker} {self._kernel}\n".encode(), 0)
        except OSError as cause:  # the disk may be full, and alerts must be sent all the same
            _log_no_lock(cause)

    def close(self) -> None:
        """Free all locks."""
        while self._files:
            os.close(self._files.pop())


@contextmanager
def worker_locks(folder: Path, prefix: str) -> Iterator[WorkerLock]:
    """Lock the files that no living worker holds until the block ends. `prefix`: how the names of workers of this host begin.

    Only such workers count as dead, and only those of this kernel: where a folder is shared over a network, locks of other hosts may not be seen.
    """
    files: list[int] = []
    kernel = ""
    try:
        kernel = _BOOT_ID.read_text().strip()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(MOST):
            path = folder / f"worker-{number}.lock"
            is_new = not path.exists()
            if is_new and files:
                break
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            files.append(file)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(files.pop())
    except OSError as cause:
        _log_no_lock(cause)
    lock = WorkerLock(files, prefix, kernel)
    try:
        yield lock
    finally:
        with suppress(OSError):
            lock.close()


def _log_no_lock(cause: OSError) -> None:
    log.info(
        "no lock file can be used: if this worker crashes, the messages it was sending are sent again after 30 s",
        cause=str(cause),
    )


def _name_in(file: int, kernel: str) -> str:
    """Return the name in a file that this kernel locked; empty if it is not whole: the beginning of a name could be that of a worker that lives."""
    text = os.pread(file, _NAME_MOST, 0).decode("utf-8", "replace")
    name = text.partition(" ")[0]
    return name if kernel and text == f"{name} {kernel}\n" else ""
