"""When a disk counts as low, full or well; and how the limit is read."""

import pytest

from app.core.disk import limit_of, read_limit
from app.domain.disk_space import Disk, DiskStage, stage_of

GIB = 1024**3


def disk(free: float, files_left: int | None = None) -> Disk:
    return Disk("database", "host1", int(free * GIB), GIB, files_left)


@pytest.mark.parametrize(
    ("disks", "is_full", "is_reported", "expected"),
    [
        ([disk(5)], False, False, DiskStage.WELL),
        ([disk(0.9)], False, False, DiskStage.LOW),
        ([disk(5), disk(0.9)], False, False, DiskStage.LOW),
        ([disk(5, files_left=3)], False, False, DiskStage.LOW),
        ([disk(1.1)], False, False, DiskStage.WELL),
        ([disk(1.1)], False, True, None),
        ([disk(1.3)], False, True, DiskStage.WELL),
        ([disk(5)], True, False, DiskStage.FULL),
        ([], False, False, DiskStage.WELL),
    ],
)
def test_the_stage_of_disks(disks: list[Disk], is_full: bool, is_reported: bool, expected: DiskStage | None):
    assert stage_of(disks, is_full=is_full, is_reported=is_reported) is expected


@pytest.mark.parametrize(
    ("text", "total", "expected"),
    [
        (None, 100 * GIB, GIB),
        (None, 5 * GIB, GIB // 2),
        ("5%", 100 * GIB, 5 * GIB),
        ("2GiB", 100 * GIB, 2 * GIB),
        ("500 mib", 100 * GIB, 500 * 1024**2),
        ("0%", 100 * GIB, 0),
    ],
)
def test_the_limit_in_bytes(text: str | None, total: int, expected: int):
    assert limit_of(None if text is None else read_limit(text), total) == expected


@pytest.mark.parametrize("text", ["", "5", "95%", "-1GiB", "2GB", "much"])
def test_a_limit_that_is_none_is_refused(text: str):
    with pytest.raises(ValueError, match="must be"):
        read_limit(text)
