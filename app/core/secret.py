"""The server secret, and what it makes of keys: new ones, and their hashes. The secret itself never leaves this file's class."""

import hashlib
import hmac
import os
import secrets
import string
import time
import uuid
from pathlib import Path

from app.core.errors import BadSettings
from app.core.settings import Settings

_LENGTH = 64
_WAIT_S = 5.0
_TOKEN, _TOKEN_LENGTH = string.ascii_letters + string.digits, 32


class Secret:
    """Hashes keys. It has no readable value, so that neither a log nor a traceback can show it."""

    __slots__ = ("_bytes",)

    def __init__(self, value: str) -> None:
        self._bytes = value.encode()

    def hash_key(self, key: str) -> str:
        """Give HMAC-SHA-256(secret, key) as hex: who steals the table can neither use a key nor try keys out."""
        return hmac.digest(self._bytes, key.encode("utf-8", "surrogateescape"), hashlib.sha256).hex()

    def derive(self, purpose: str) -> bytes:
        """Give a secret for one purpose: whoever learns it learns neither this one nor that of another purpose."""
        return hmac.digest(self._bytes, b"purpose:" + purpose.encode(), hashlib.sha256)


def new_key(kind: str, form: str = "tocsin") -> str:
    """Make a key such as `tocsin_agent_` + 43 url-safe characters (256 bits), or one that looks as a tool wants it to look."""
    if form == "uuid":
        return str(uuid.uuid4())
    if form == "token":
        return "".join(secrets.choice(_TOKEN) for _ in range(_TOKEN_LENGTH))
    return f"tocsin_{kind}_{secrets.token_urlsafe(32)}"


def hint_of(key: str) -> str:
    """Give the first characters of a key, by which people tell keys apart; of a short fixed key only two."""
    parts = key.split("_", 2)
    made_by_us = len(parts) == 3 and parts[0] == "tocsin" and len(parts[2]) == 43  # noqa: PLR2004  (see new_key)
    if made_by_us:
        return f"{parts[2][:4]}…"
    return f"{key[:4]}…" if len(key) >= _TOKEN_LENGTH else f"{key[:2]}…"


def open_secret(settings: Settings) -> Secret:
    """Give the secret of the settings, or the one in `var_dir/secret`, made at first use. Raises BadSettings."""
    if settings.secret is not None:
        return Secret(settings.secret.get_secret_value())
    path = settings.var_dir / "secret"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(path)
        return Secret(_read(path))
    except OSError as cause:
        raise BadSettings(f"TOCSIN_VAR_DIR: cannot keep the secret in {path}: {cause.strerror}") from cause


def _make(path: Path) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    try:
        os.write(file, secrets.token_hex(_LENGTH // 2).encode())
        os.fsync(file)  # keys handed out now must still verify after a power cut
    finally:
        os.close(file)


def _read(path: Path) -> str:
    end = time.monotonic() + _WAIT_S
    while (
        len(text := path.read_text(encoding="ascii", errors="replace").strip()) < _LENGTH
    ):  # another process writes it just now
        if time.monotonic() > end:
            raise BadSettings(f"TOCSIN_VAR_DIR: {path} is cut short; restore it, or remove it and make all keys anew")
        time.sleep(0.01)
    return text
