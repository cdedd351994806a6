"""A real Dovecot with mailboxes in a temporary folder, for tests that read mail by IMAP. It needs no privileges."""

import contextlib
import getpass
import grp
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from imap_tools import BaseMailBox, MailBoxUnencrypted

from tests.support.ports import lasting_port

PASSWORD = "a password with/all%kinds@of#signs"
START_S = 15
CONFIG = """
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
default_login_user = {login_user}
default_internal_user = {user}
default_internal_group = {group}
first_valid_uid = 0
first_valid_gid = 0
mail_location = maildir:{folder}/mail/%u
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/cert.pem
passdb {{
  driver = passwd-file
  args = scheme=plain username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
"""


@dataclass(frozen=True, slots=True)
class Dovecot:
    """A running server with the user `tocsin`."""

    folder: Path
    port: int
    tls_port: int
    user: str = "tocsin"

    @property
    def ca_file(self) -> Path:
        """The authority of its certificate, which is for localhost."""
        return self.folder / "ca.pem"

    @contextmanager
    def box(self) -> Iterator[BaseMailBox]:
        """Use the mailbox as a person with a mail program does."""
        box = MailBoxUnencrypted("127.0.0.1", self.port, timeout=10)
        try:
            yield box.login(self.user, PASSWORD)
            box.logout()
        finally:
            with contextlib.suppress(OSError):
                box.client.shutdown()

    def deliver(self, mail: bytes, *, folder: str = "INBOX", seen: bool = False) -> None:
        """Put a mail into the mailbox."""
        with self.box() as box:
            box.append(mail, folder, flag_set=["\\Seen"] if seen else None)

    def seen_subjects(self, *, folder: str = "INBOX") -> dict[str, bool]:
        """Return the subjects of the mails in a folder, and whether each is marked as seen."""
        with self.box() as box:
            if not box.folder.exists(folder):
                return {}
            box.folder.set(folder)
            return {one.subject: "\\Seen" in one.flags for one in box.fetch(mark_seen=False, headers_only=True)}


@contextmanager
def dovecot() -> Iterator[Dovecot]:
    """Run Dovecot until the block ends, in a folder of its own: its sockets need a short path that its other users can enter."""
    with tempfile.TemporaryDirectory(prefix="tocsin-dovecot-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with _running(folder) as running:
            yield running


@contextmanager
def _running(folder: Path) -> Iterator[Dovecot]:
    for name in ("run", "state", "mail"):
        (folder / name).mkdir(parents=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
    (folder / "users").write_text(f"tocsin:{{PLAIN}}{PASSWORD}\n")
    # Dovecot opens no mailbox as root.
    uid, gid = (
        (os.getuid(), os.getgid()) if os.getuid() else (pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    )
    os.chown(folder / "mail", uid, gid)
    port, tls_port = lasting_port(), lasting_port()
    config = folder / "dovecot.conf"
    config.write_text(
        CONFIG.format(
            folder=folder,
            **_users(),
            uid=uid,
            gid=gid,
            port=port,
            tls_port=tls_port,
        )
    )
    program = shutil.which("dovecot") or "/usr/sbin/dovecot"
    process = subprocess.Popen([program, "-F", "-c", str(config)], stderr=subprocess.DEVNULL)
    running = Dovecot(folder, port, tls_port)
    try:
        _wait(process, running)
        yield running
    finally:
        process.terminate()
        process.wait(10)


def _users() -> dict[str, str]:
    """Return the users of its processes: those of Debian's package for root, which Dovecot refuses there, else ourselves."""
    if os.geteuid() == 0:
        return {"login_user": "dovenull", "user": "dovecot", "group": "dovecot"}
    group = grp.getgrgid(os.getgid()).gr_name
    return {"login_user": getpass.getuser(), "user": getpass.getuser(), "group": group}


def _wait(process: subprocess.Popen[bytes], running: Dovecot) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            with running.box():
                return
        except Exception as cause:
            if process.poll() is not None or time.monotonic() > end:
                log = running.folder / "dovecot.log"
                words = log.read_text() if log.exists() else "no log"
                raise RuntimeError(f"Dovecot did not start: {words[-600:]!r}") from cause
            time.sleep(0.1)
