"""What `tocsin doctor` says about jobs that have one service at Icinga, Nagios or Zabbix: nobody can distinguish them there."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.cli.findings import DoctorFinding
from app.deliver.transports.check_state import service_of
from app.deliver.transports.document_alerts import SHOWN, DocumentAlert
from app.domain.message import KEEPS_SERVICES
from app.domain.notice import NoticeKind
from app.domain.recipient import Recipient
from app.domain.transport_options import OPTIONS, TransportOptions
from app.store.jobs import JobNames, names_of_jobs
from app.store.monitoring import used_recipients
from app.store.routing import all_recipients
from app.store.transactions import ReadTx

_SHOWN = 3


async def check_shared_services(tx: ReadTx) -> list[DoctorFinding]:
    """Return a finding for each address at which several jobs have the same service, with the first of them by name."""
    used = await used_recipients(tx)
    keepers = [
        one
        for one in await all_recipients(tx)
        if one.id in used and any(to.transport in KEEPS_SERVICES for to in one.transports)
    ]
    return list(shared_services(keepers, await names_of_jobs(tx))) if keepers else []


@dataclass(frozen=True, slots=True)
class _Shared:
    place: tuple[str, str]
    jobs: tuple[JobNames, JobNames]  # the first two of them


def shared_services(recipients: Iterable[Recipient], jobs: list[JobNames]) -> Iterator[DoctorFinding]:
    """Compare the services of all jobs at each address of these recipients."""
    seen = set()
    for recipient in recipients:
        for to in recipient.transports:
            if to.transport not in KEEPS_SERVICES:
                continue
            options = to.options or OPTIONS[to.transport]()
            named = (to, repr(options))
            if named in seen:
                continue
            seen.add(named)
            count, shared = _compare(jobs, recipient, options)
            if not count:
                continue
            names = "; ".join(
                f"{one.place[1]!r} of {one.place[0]!r} for {_words(one.jobs[0])} and {_words(one.jobs[1])}"
                for one in shared
            )
            more = ", …" if count > len(shared) else ""
            yield DoctorFinding(
                f"transport {to.transport}",
                f"{count} job(s) have the same service at {to.transport} (recipient {recipient.name}) as another job: {names}{more}. While an "
                "alert of one of them is open, the service does not become OK, and it does not show which job it is.",
                f"To tell them apart, {_remedy(shared, options)}.",
            )


def _compare(jobs: list[JobNames], recipient: Recipient, options: TransportOptions) -> tuple[int, list[_Shared]]:
    """Count the jobs that have the service of an earlier one, and return the first services that have several."""
    first: dict[tuple[str, str], JobNames] = {}
    count, shared = 0, dict[tuple[str, str], _Shared]()
    for job in jobs:
        if recipient.customer_id not in (None, job.customer_id):
            continue
        place = service_of(_alert_of(job), options)
        if place is None:
            continue
        if (other := first.setdefault(place, job)) is not job:
            count += 1
            if place not in shared and len(shared) < _SHOWN:
                shared[place] = _Shared(place, (other, job))
    return count, list(shared.values())


def _alert_of(job: JobNames) -> DocumentAlert:
    known: Mapping[str, str] = {
        "customer": job.customer,
        "agent": job.agent,
        "job": job.name,
        "activity": job.activity,
        "kind": "failed",
        "severity": "error",
    }
    return DocumentAlert("", NoticeKind.OPENED, "", None, None, {name: known.get(name, "") for name in SHOWN})


def _remedy(shared: list[_Shared], options: TransportOptions) -> str:
    used = repr(options)
    fields = (("customer", "customer"), ("agent", "agent"), ("name", "job"), ("activity", "activity"))
    missing = [
        f"{{{shown}}}"
        for field, shown in fields
        if f"{{{shown}}}" not in used
        and any(getattr(a, field) != getattr(b, field) for a, b in (one.jobs for one in shared))
    ]
    if not missing:
        return (
            "rename one of each: characters that names may not have there are replaced, so the names are the same there"
        )
    return f"add {' and '.join(missing)} to the names in the options of the recipient (PATCH /v1/recipients/<id>), and define services with these names there"


def _words(job: JobNames) -> str:
    return f"{job.name} ({job.activity}) on {job.agent} of {job.customer}"
