"""The server secret, the hashes that it makes of keys, and new keys. The secret itself never leaves the class `Secret`."""

import base64
import hmac
import os
import secrets
import string
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.errors import BadSettings
from app.core.settings import Settings

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

_LENGTH = 64
_WAIT_S = 5.0
_TOKEN, _TOKEN_LENGTH = string.ascii_letters + string.digits, 32


class WrongSecret(ValueError):
    """A sealed text cannot be read with this server secret."""


class Secret:
    """Hashes keys. It has no readable value, so that no log or traceback can show it."""

    __slots__ = ("_bytes", "_empty_hash")

    def __init__(self, value: str) -> None:
        self._bytes = value.encode()
        self._empty_hash = hmac.new(self._bytes, digestmod="sha256")

    def hash_key(self, key: str) -> str:
        """Return HMAC-SHA-256(secret, key) as hex: a thief of the table can neither use a key nor test guesses of one."""
        # A copy of a hash that was begun with the secret: to begin one for each request takes 3.3 instead of 1.4 us.
        hashed = self._empty_hash.copy()
        hashed.update(key.encode("utf-8", "surrogateescape"))
        return hashed.hexdigest()

    def derive(self, purpose: str) -> bytes:
        """Return a secret for one purpose. It reveals neither this secret nor that of another purpose."""
        return hmac.digest(self._bytes, b"purpose:" + purpose.encode(), "sha256")

    def seal(self, text: str) -> str:
        """Return `text` encrypted and authenticated with this secret, for a column of the database."""
        return self._cipher().encrypt(text.encode()).decode("ascii")

    def unseal(self, sealed: str) -> str:
        """Return the text that was sealed. Raises WrongSecret where it was sealed with another secret, or altered."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415  (see _cipher)

        try:
            return self._cipher().decrypt(sealed.encode("ascii")).decode()
        except (InvalidToken, UnicodeError):
            raise WrongSecret("this was encrypted with another server secret: enter it again") from None

    def _cipher(self) -> "Fernet":
        # Imported at first use: its native library is large, and most services seal nothing.
        from cryptography.fernet import Fernet  # noqa: PLC0415

        return Fernet(base64.urlsafe_b64encode(self.derive("sealed options")))


def new_key(kind: str, form: str = "tocsin") -> str:
    """Return a new key: `tocsin_agent_` + 43 URL-safe characters (256 bits), or one in the form that a tool accepts."""
    if form == "uuid":
        return str(uuid.uuid4())
    if form == "token":
        return "".join(secrets.choice(_TOKEN) for _ in range(_TOKEN_LENGTH))
    return f"tocsin_{kind}_{secrets.token_urlsafe(32)}"


def hint_of(key: str) -> str:
    """Return the first characters of a key, by which people recognise it; of a short key from the settings only two."""
    parts = key.split("_", 2)
    is_generated = len(parts) == 3 and parts[0] == "tocsin" and len(parts[2]) == 43  # noqa: PLR2004  (see new_key)
    if is_generated:
        return f"{parts[2][:4]}…"
    return f"{key[:4]}…" if len(key) >= _TOKEN_LENGTH else f"{key[:2]}…"


def open_secret(settings: Settings) -> Secret:
    """Return the secret of the settings, or the one in `var_dir/secret`, which is created at first use. Raises BadSettings."""
    if settings.secret is not None:
        return Secret(settings.secret.get_secret_value())
    path = settings.var_dir / "secret"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _create(path)
        return Secret(_read(path))
    except OSError as cause:
        raise BadSettings(f"TOCSIN_VAR_DIR: cannot store the secret in {path}: {cause.strerror}") from cause


def _create(path: Path) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    try:
        os.write(file, secrets.token_hex(_LENGTH // 2).encode())
        os.fsync(file)  # keys that are created now must still be valid after a power failure
    finally:
        os.close(file)


def _read(path: Path) -> str:
    end = time.monotonic() + _WAIT_S
    while (
        len(text := path.read_text(encoding="ascii", errors="replace").strip()) < _LENGTH
    ):  # another process is writing it
        if time.monotonic() > end:
            raise BadSettings(
                f"TOCSIN_VAR_DIR: {path} is incomplete; restore it, or remove it and create all keys again"
            )
        time.sleep(0.01)
    return text
