"""Mails as files: complete or not at all, one name for one message, private."""

import asyncio
import os
import signal
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from app.core.ids import new_id
from app.deliver.transports.file import FileTransport, file_name, written_before
from app.domain.attempt import Sent, Temporary
from app.domain.message import Parcel


def parcel(
    parcel_id: str = "msg_01946f3b2c00aaaabbbbccccdddd", body: bytes = b"Subject: x\r\n\r\n.\r\n\xff\x00"
) -> Parcel:
    return Parcel(parcel_id, "rcp_1", "a@example.org", "<m@example.org>", body)


async def test_the_bytes_are_written_to_a_file_named_by_creation_time(tmp_path: Path):
    folder = tmp_path / "var" / "mail"
    outcome = await FileTransport(folder).send(parcel())
    name = "20250116T130856.448Z-msg_01946f3b2c00aaaabbbbccccdddd.eml"
    assert outcome == Sent("written", name)
    assert (folder / name).read_bytes() == parcel().body
    assert [path.name for path in folder.iterdir()] == [name]


async def test_the_file_is_readable_only_by_its_owner(tmp_path: Path):
    folder = tmp_path / "mail"
    before = os.umask(0)
    try:
        outcome = await FileTransport(folder).send(parcel())
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / outcome.text).stat().st_mode) == 0o600


async def test_sending_again_creates_no_second_file(tmp_path: Path):
    file = FileTransport(tmp_path / "mail")
    outcomes = [await file.send(parcel()) for _ in range(2)]
    outcomes += await asyncio.gather(*(file.send(parcel()) for _ in range(10)))
    assert len(set(outcomes)) == 1
    assert [path.read_bytes() for path in (tmp_path / "mail").iterdir()] == [parcel().body]


async def test_a_full_disk_is_temporary_and_leaves_no_partial_file(tmp_path: Path):
    process = await asyncio.create_subprocess_exec(
        os.sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path / "mail"), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().split() == ["Temporary", "EFBIG", "0"]


async def test_a_partial_file_of_a_killed_process_is_purged_with_the_mails_of_its_time(tmp_path: Path):
    folder = tmp_path / "mail"
    process = await asyncio.create_subprocess_exec(os.sys.executable, "-c", _KILLED, str(folder))
    assert await process.wait() == -signal.SIGKILL
    assert len(list(folder.iterdir())) == 1
    made = datetime(2025, 1, 16, 13, 8, 56, 448000, UTC)
    assert written_before(folder, made) == []
    assert written_before(folder, made + timedelta(seconds=1)) == list(folder.iterdir())


_KILLED = """
import os, signal, sys
from pathlib import Path
from app.deliver.transports import file
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
file._write(Path(sys.argv[1]), file.file_name("msg_01946f3b2c00aaaabbbbccccdddd"), b"half of it")
"""

# A limit on file size stands for the full disk: the same write(2) fails in the same place.
_ON_A_FULL_DISK = """
import asyncio, os, pathlib, resource, signal, sys
from app.deliver.transports.file import FileTransport
from app.domain.message import Parcel
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
outcome = asyncio.run(FileTransport(pathlib.Path(sys.argv[1])).send(Parcel("m", "r", "a@b", "", b"x" * 5000)))
print(type(outcome).__name__, outcome.code, len(os.listdir(sys.argv[1])))
"""


async def test_a_folder_that_cannot_be_created_is_temporary(tmp_path: Path):
    (tmp_path / "mail").write_text("a file stands where the folder should")
    outcome = await FileTransport(tmp_path / "mail").send(parcel())
    assert isinstance(outcome, Temporary)
    assert outcome.code == "EEXIST"


@given(st.lists(st.text(max_size=200), min_size=2, max_size=20, unique=True))
def test_no_id_results_in_a_path_outside_the_folder_a_hidden_file_or_a_shared_name(ids: list[str]):
    names = [file_name(parcel_id) for parcel_id in ids]
    assert len(set(names)) == len(ids)
    for name in names:
        assert Path(name).name == name
        assert not name.startswith(".")
        assert len(name.encode()) < 200


def test_names_sort_by_creation_time():
    names = [file_name(new_id("msg")) for _ in range(3)]
    assert [name[:19] for name in names] == sorted(name[:19] for name in names)
