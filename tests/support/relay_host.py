"""A relay on a simulated Windows host: the real spool, sender, client and loop, with a mailbox of files. Run as a program, so that it can be killed.

`python relay_host.py URL KEY FOLDER DRAIN`; how its mailbox behaves is read again for each child from FOLDER/script.json.
"""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from programs.relay import child  # noqa: E402  (it is run as a program)
from programs.relay.client import RelayClient  # noqa: E402
from programs.relay.host_facts import HostFacts  # noqa: E402
from programs.relay.loop import RelayLoop, set_up_log  # noqa: E402
from programs.relay.mail_clients import CLIENTS_KEY  # noqa: E402
from programs.relay.profile_check import EXCHANGE_PRIVATE_STORE, Provider  # noqa: E402
from programs.relay.registry import OUR_KEY  # noqa: E402
from programs.relay.sender import SendingSetup, SpoolSender  # noqa: E402
from programs.relay.spool import open_spool  # noqa: E402
from programs.relay.watch import Deadlines  # noqa: E402
from tests.support.fake_hive import FakeHive  # noqa: E402
from tests.support.file_mailbox import FileMailbox  # noqa: E402
from tests.support.posix_children import PosixChildHost  # noqa: E402

DLL = b"MZ" + bytes(58) + b"\x40\0\0\0" + b"PE\0\0\x64\x86"  # only its header is read, which says 64-bit


_EXCHANGE = [
    Provider(33, 0x2, "01", "MSEMS", "Mailbox", store=EXCHANGE_PRIVATE_STORE),
    Provider(35, 0, "01", "MSEMS", "Global Address List"),
    Provider(36, 0x100, "01", "MSEMS", "Exchange Transport", ordinal=0),
]
TIGHT = {"profiles": ["Backup"], "providers": [one.as_json() for one in _EXCHANGE], "online": True}


def start(url: str, key: str, folder: Path, drain: float = 2.0) -> "subprocess.Popen[bytes]":
    """Start the relay as a process."""
    folder.mkdir(exist_ok=True)
    with (folder / "host.log").open("ab") as log:
        return subprocess.Popen([sys.executable, __file__, url, key, str(folder), str(drain)], stdout=log, stderr=log)


def script(folder: Path, **values: object) -> None:
    """Set how the mailbox behaves from now on."""
    folder.mkdir(exist_ok=True)
    fresh = folder / "script.new"
    fresh.write_text(json.dumps(values))
    fresh.replace(folder / "script.json")


def left(folder: Path) -> list[str]:
    """Return the Message-IDs of what left the Outbox, each as often as it left."""
    return [json.loads(path.read_text())["id"] for path in (folder / "mailbox" / "delivered").glob("*.json")]


def _child(folder: Path) -> int:
    path = folder / "script.json"
    values = json.loads(path.read_text()) if path.exists() else {}
    values.setdefault("findings", TIGHT)
    return child.main(lambda _order: FileMailbox(folder / "mailbox", values))


def main(url: str, key: str, folder: Path, drain: float) -> None:
    """Be the relay until SIGTERM."""
    dll = folder / "olmapi32.dll"
    dll.write_bytes(DLL)
    # The simulated client is 64-bit, so this Python must appear to be 64-bit.
    sys.executable, python = str(dll), sys.executable
    hive = FakeHive(
        {
            (64, OUR_KEY): {"MailClientsSupported": ["Microsoft Outlook"]},
            (64, f"{CLIENTS_KEY}\\Microsoft Outlook"): {"DLLPathEx": str(dll)},
        }
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    set_up_log(folder, console=True, event_log=False)
    command = [python, __file__, "child", str(folder)]
    look = lambda **known: HostFacts(account="CORP\\relay", mapi_binding="played", **known)  # noqa: E731
    means = SendingSetup(
        hive, "Backup", command, Deadlines(logon=10, submit=3), drain=drain, look=look, start=PosixChildHost().start
    )
    spool = open_spool(folder)
    RelayLoop(spool, SpoolSender(spool, means, stop), lambda: RelayClient(url, key), stop).run()
    spool.close()


if __name__ == "__main__":
    if sys.argv[1] == "child":
        sys.exit(_child(Path(sys.argv[2])))
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
