"""Parses `TOCSIN_MAILBOX_URL`, the mailbox that returned mails are read from. It must never repeat the URL, which contains a password."""

import hashlib
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from app.core.errors import BadSettings
from app.core.smtp_url import Tls, is_loopback

_NAME = "TOCSIN_MAILBOX_URL"
_SHAPE = (
    f"{_NAME}: must look like imaps://user:password@host/INBOX, with special characters of the password percent-encoded"
)
_USUAL_PORT = {"imaps": 993, "imap": 143}


@dataclass(frozen=True, slots=True)
class MailboxServer:
    """The mailbox and how we log in. `password` None means XOAUTH2. `move_to`: the folder for what was stored; None: it is marked as seen."""

    host: str
    port: int
    tls: Tls
    user: str
    password: str | None
    folder: str
    move_to: str | None = None

    def __repr__(self) -> str:
        """Show the mailbox without the password: a repr is often logged."""
        return f"MailboxServer({self.user}@{self.host}:{self.port}/{self.folder}, tls={self.tls})"


def mailbox_key(server: MailboxServer) -> str:
    """Return the name under which the position of a mailbox is kept."""
    return hashlib.sha256(f"{server.user}@{server.host}:{server.port}/{server.folder}".encode()).hexdigest()


def read_mailbox_url(text: str) -> MailboxServer:
    """Parse `imaps://user:password@host:993/INBOX?auth=xoauth2&move=Folder&tls=none`. Raises BadSettings.

    `imaps` means TLS from the start (RFC 8314), `imap` STARTTLS. Without any encryption only this machine is asked.
    """
    try:
        url = urlsplit(text)
        port = url.port
        parameters = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=True)) if url.query else {}
    except ValueError:
        raise BadSettings(_SHAPE) from None
    if url.scheme not in _USUAL_PORT or not url.hostname or not url.username or url.fragment or port == 0:
        raise BadSettings(_SHAPE)
    if set(parameters) - {"auth", "move", "tls"}:
        raise BadSettings(f"{_NAME}: the only parameters are auth, move and tls")
    if parameters.get("auth", "xoauth2") != "xoauth2":
        raise BadSettings(f"{_NAME}: auth must be xoauth2; without it, the password is used")
    folders = {"the folder": unquote(url.path.strip("/")) or "INBOX", "move": parameters.get("move") or None}
    for name, folder in folders.items():
        if folder is not None and any(ord(letter) < ord(" ") or letter in '*%"\\' for letter in folder):
            raise BadSettings(f"{_NAME}: {name} is no name of a folder")
    if folders["move"] == folders["the folder"]:
        raise BadSettings(f"{_NAME}: move must name another folder")
    password = unquote(url.password) if url.password else None
    if (password is None) != ("auth" in parameters):
        raise BadSettings(f"{_NAME}: needs either a password or auth=xoauth2")
    return MailboxServer(
        host=url.hostname,
        port=port or _USUAL_PORT[url.scheme],
        tls=_tls(url.scheme, url.hostname, parameters.get("tls")),
        user=unquote(url.username),
        password=password,
        folder=folders["the folder"] or "INBOX",
        move_to=folders["move"],
    )


def _tls(scheme: str, host: str, wanted: str | None) -> Tls:
    if wanted is None:
        return Tls.TLS if scheme == "imaps" else Tls.STARTTLS
    if wanted != Tls.NONE or scheme != "imap":
        raise BadSettings(f"{_NAME}: tls can only be none, with imap://; imap:// uses STARTTLS and imaps:// TLS")
    if not is_loopback(host):
        raise BadSettings(f"{_NAME}: a password is only sent without TLS to this machine; use imaps://")
    return Tls.NONE
