"""Small disks that a test may fill or make read-only: a mount that lasts as long as a block. Tests that use one are marked `needs("root:mount")`."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A mounted disk."""

    folder: Path

    @property
    def free(self) -> int:
        """Free bytes."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, *, leave: int = 0) -> None:
        """Take all room, or all but some bytes, as another program would. It can be called again."""
        file = os.open(self.folder / "of-another-program", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for piece in (_PIECE, 4096, 1):
                while self.free - leave >= piece:
                    try:
                        os.write(file, b"x" * piece)
                    except OSError:  # blocks for the disk's own use
                        break
        finally:
            os.close(file)

    def make_room(self) -> None:
        """Remove what the other program wrote."""
        (self.folder / "of-another-program").unlink()

    def remount(self, how: str) -> None:
        """Change how it is mounted: `ro`, `rw` or `size=16m`."""
        subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=True, capture_output=True)


@contextmanager
def small_disk(folder: Path, size: str = "8m") -> Iterator[SmallDisk]:
    """Mount a tmpfs of this size."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True, capture_output=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)


@contextmanager
def failing_disk(folder: Path, image: Path) -> Iterator[Path]:
    """Mount an ext4 from a file. Writing to the yielded file of the kernel makes it read-only, as an error of a real disk does."""
    folder.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(64 * 1024**2)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, folder], check=True, capture_output=True)
    source = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if f" {folder} " in line)
    try:
        yield Path("/sys/fs/ext4") / Path(source).name / "trigger_fs_error"
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)
