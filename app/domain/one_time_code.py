"""One-time codes (TOTP, RFC 6238) and recovery codes: their forms, and which step a code belongs to. Pure."""

import re

STEP_S = 30
RECOVERY_CODES = 10
_CODE, _RECOVERY = re.compile(r"[0-9]{6}"), re.compile(r"[a-z2-7]{5}-[a-z2-7]{5}")


def read_code(text: str) -> str | None:
    """Return the six digits that somebody typed, with spaces or without; None for what is no code."""
    code = "".join(text.split())
    return code if _CODE.fullmatch(code) else None


def read_recovery_code(text: str) -> str | None:
    """Return a recovery code that somebody typed; None for what is none."""
    code = text.strip().lower().replace(" ", "-")
    return code if _RECOVERY.fullmatch(code) else None
