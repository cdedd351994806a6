"""What `tocsin doctor` finds out about DKIM: whether DNS has the record of the key that we sign with."""

import dns.asyncresolver
import dns.exception
import dns.resolver

from app.core.errors import BadSettings
from app.core.settings import Settings
from app.deliver.transports.dkim_signer import DkimSigner

LONGEST_S = 5.0


async def check_dkim(settings: Settings, resolver: dns.asyncresolver.Resolver | None = None) -> list[str]:
    """Return the record to publish, unless DNS has it. Empty if mails are not signed, or if DNS does not answer."""
    try:
        signer = DkimSigner.from_settings(settings)
    except BadSettings as wrong:
        return [str(wrong)]
    if signer is None:
        return []
    publish = f"Publish the TXT record {signer.record_name} with: {signer.record}"
    try:
        asked = resolver or dns.asyncresolver.Resolver()
        answer = await asked.resolve(signer.record_name, "TXT", lifetime=LONGEST_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return [f"Mails are signed with DKIM, but DNS has no record of the key, so every signature is wrong. {publish}"]
    except (dns.exception.DNSException, OSError):
        return []
    found = [b"".join(record.strings).decode("ascii", "replace") for record in answer]
    if any(_key_of(one) == _key_of(signer.record) for one in found):
        return []
    return [
        f"Mails are signed with DKIM, but the record in DNS has another key, so every signature is wrong. {publish}"
    ]


def _key_of(record: str) -> str | None:
    """Return the key of a record (RFC 6376 section 3.6.1): tags in any order, with white space anywhere."""
    tags = dict(tag.strip().split("=", 1) for tag in record.split(";") if "=" in tag)
    return "".join(tags.get("p", "").split()) or None
