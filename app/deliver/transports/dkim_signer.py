"""Signs mails with the key of the sender's domain (DKIM, RFC 6376), so that mail servers can see that the domain sent them.

A mail is signed at each attempt and only by the transport `smtp`: the stored bytes stay the same for every transport, and a key
that was changed while a mail waited signs with the new record in DNS. Outlook and Exchange sign what goes through them.
"""

import base64
import re
from typing import TYPE_CHECKING, Self

from app.core.errors import BadSettings
from app.core.log import log
from app.core.mail_address import ascii_domain, split_address
from app.core.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

FEWEST_BITS = 1024  # RFC 8301 section 3.2
_SELECTOR = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
# Signed although they may be missing, and the first ones once more, so that nobody can add another on the way (RFC 6376 section 8.15). RFC 8058 section 4 wants the
# two of the list signed.
_HEADERS = (
    b"from", b"to", b"subject", b"date", b"message-id", b"in-reply-to", b"references", b"mime-version", b"content-type",
    b"auto-submitted", b"list-unsubscribe", b"list-unsubscribe-post",
)  # fmt: skip


class DkimSigner:
    """Signs with one key. `record_name` and `record` are what has to be published in DNS, as a TXT record."""

    def __init__(self, selector: str, domain: str, key: "RSAPrivateKey") -> None:
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415  (see from_settings)
            Encoding,
            NoEncryption,
            PrivateFormat,
            PublicFormat,
        )

        self._selector, self._domain = selector.encode(), domain.encode()
        self._key = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.record_name = f"{selector}._domainkey.{domain}"
        self.record = f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Create it from the settings; None if mails are not to be signed. Raises BadSettings with the name of the wrong setting."""
        path, selector = settings.dkim_key_file, settings.dkim_selector
        if path is None and selector is None:
            return None
        if path is None:
            raise BadSettings("TOCSIN_DKIM_KEY_FILE: is missing; TOCSIN_DKIM_SELECTOR is set")
        if selector is None or not _SELECTOR.fullmatch(selector):
            raise BadSettings("TOCSIN_DKIM_SELECTOR: must be a name such as tocsin; TOCSIN_DKIM_KEY_FILE is set")
        # Imported only where mails are signed: they take 10 MiB and a twentieth of a second.
        import dkim  # noqa: PLC0415, F401  (so that the first mail need not wait for it)
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as cause:
            raise BadSettings(f"TOCSIN_DKIM_KEY_FILE: cannot read {path}: {cause.strerror}") from cause
        except (ValueError, TypeError):  # never the library's words: they may quote the key
            raise BadSettings(f"TOCSIN_DKIM_KEY_FILE: {path} has no private key as PEM without a password") from None
        if not isinstance(key, RSAPrivateKey) or key.key_size < FEWEST_BITS:
            raise BadSettings(
                f"TOCSIN_DKIM_KEY_FILE: {path} must have an RSA key of at least {FEWEST_BITS} bits (better 2048)"
            )
        domain = (ascii_domain(split_address(settings.mail_from)[1]) or "").rpartition("@")[2]
        return cls(selector, domain, key)

    def sign(self, mail: bytes) -> bytes:
        """Return the mail with its signature before the first header; unsigned if it cannot be signed. Line ends must be CRLF.

        An alert that arrives unsigned is better than one that does not.
        """
        import dkim  # noqa: PLC0415

        try:
            signature: bytes = dkim.sign(
                mail,
                self._selector,
                self._domain,
                self._key,
                canonicalize=(b"relaxed", b"relaxed"),  # servers on the way may fold headers in another way
                include_headers=[*_HEADERS, b"from", b"to", b"subject", b"date"],
            )
        except dkim.DKIMException as cause:
            log.warning("a mail could not be signed and is sent unsigned", cause=str(cause))
            return mail
        return signature + mail
