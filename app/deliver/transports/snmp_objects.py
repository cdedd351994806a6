"""The objects of a notification, as deploy/snmp/TOCSIN-MIB.txt defines them. Pure."""

from app.deliver.transports.document_alerts import DocumentAlert

# 32473 is the number that RFC 5612 reserves for examples: we have none of our own.
ROOT = "1.3.6.1.4.1.32473.1"
TRAP_OID = "1.3.6.1.6.3.1.1.4.1.0"
_NOTIFICATIONS = {"opened": 1, "repeated": 2, "acknowledged": 3, "closed": 4}
_OBJECTS = (
    "id",
    "customer",
    "agent",
    "job",
    "activity",
    "kind",
    "severity",
    "state",
    "trouble",
    "reason",
    "message",
    "url",
)
_LONGEST = 255


def objects_of(alert: DocumentAlert) -> list[tuple[str, str]]:
    """Return (OID, value), first the kind of notification."""
    state = "closed" if alert.is_over else "acknowledged" if alert.acknowledged_at is not None else alert.what.value
    fields = {**alert.fields, "state": state}
    kind = _NOTIFICATIONS.get(state, _NOTIFICATIONS["opened"])
    values = [(f"{ROOT}.1.{number}.0", _text(fields[name])) for number, name in enumerate(_OBJECTS, start=1)]
    return [(TRAP_OID, f"{ROOT}.0.{kind}"), *values]


def _text(text: str) -> str:
    return " ".join(text.split()).encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
