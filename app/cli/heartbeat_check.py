"""What `tocsin doctor` says about the heartbeat: whether it is set, what it reported last, and whether its pings are accepted."""

from datetime import datetime, timedelta

from app.cli.findings import DoctorFinding, DoctorFindings
from app.core.settings import Settings
from app.store.heartbeats import find_pings
from app.store.transactions import ReadTx

_MISSED_PINGS = 5  # that may be missing before it is a problem
_CODE = "heartbeat"
_WITHOUT = "Nobody is alarmed if Tocsin itself stops:"
_HOW = "set TOCSIN_HEARTBEAT_URL to a check of another service, see docs/monitoring/heartbeat.md."


async def check_heartbeat(tx: ReadTx, settings: Settings, now: datetime) -> DoctorFindings:
    """Return what is known of the heartbeat. Its address, which is a secret, is not in it."""
    if settings.heartbeat_url is None:
        return DoctorFindings((), (DoctorFinding(_CODE, _WITHOUT, _HOW),))
    pings = await find_pings(tx)
    last = max((at for at in (pings.accepted_at, pings.failed_at) if at is not None), default=None)
    accepted = (
        "none was accepted yet" if pings.accepted_at is None else f"the last accepted one: {_time(pings.accepted_at)}"
    )
    if last is None or now - last > timedelta(seconds=_MISSED_PINGS * settings.heartbeat_every_s):
        since = "never" if last is None else f"last {_time(last)}"
        text = f"The heartbeat was {since} tried:"
        return DoctorFindings(
            (DoctorFinding(_CODE, text, "start `tocsin serve` with TOCSIN_HEARTBEAT_URL; its log has the reason."),), ()
        )
    if pings.trouble is not None:
        text = f"The last ping of the heartbeat ({_time(last)}) failed: {pings.trouble}; {accepted}."
        return DoctorFindings((DoctorFinding(_CODE, text, "Check TOCSIN_HEARTBEAT_URL and the network."),), ())
    if pings.verdict is not None:
        text = f"The heartbeat reports a failure ({_time(last)}): {pings.verdict}."
        return DoctorFindings((DoctorFinding(_CODE, text, "Correct what it names; the log may have the reason."),), ())
    return DoctorFindings((), (DoctorFinding(_CODE, f"The heartbeat is accepted; the last ping: {_time(last)}."),))


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
