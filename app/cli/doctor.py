"""`tocsin doctor`: lists what is missing or wrong, and what to do about it."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

import typer

from app.cli import first_keys
from app.cli.access_checks import access_notes, access_troubles
from app.cli.bounce_check import check_bounces
from app.cli.canary_check import check_canaries
from app.cli.disk_check import check_disks
from app.cli.dkim_check import check_dkim
from app.cli.findings import DoctorFinding, DoctorFindings, as_document, as_lines
from app.cli.heartbeat_check import check_heartbeat
from app.cli.identity_provider_check import check_identity_provider
from app.cli.mail_server_check import check_mail_servers
from app.cli.open_context import describe, open_context
from app.cli.shared_services_check import check_shared_services
from app.cli.unreadable_check import check_unreadable
from app.core.clock import now
from app.core.errors import TocsinError
from app.core.settings import Settings, load_settings
from app.deliver.transports.remedies import remedy_of
from app.store.monitoring import SHOWN, Checkup, check_up, failing_templates, idle_monitor_keys

_HEARTBEAT_WITHIN = timedelta(seconds=60)
_WAITS_LONG = timedelta(minutes=15)
_HOW_TO_TEST = {
    "smtp": "`tocsin send-test --to you@example.org`",
    "graph": "`tocsin send-test --transport graph --to you@example.org`",
}
_WORDED_WITHIN = timedelta(minutes=5)
_LONGEST = 300
_ASKED_WITHIN = timedelta(days=1)  # monitoring systems ask every few minutes


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")] = False,  # noqa: FBT002
) -> None:
    """List what is missing or wrong; exit code 1 if anything is."""
    settings = load_settings()
    disks = [DoctorFinding("disk", line) for line in asyncio.run(check_disks(settings))]
    wrong, notes, well = disks, list[DoctorFinding](), list[DoctorFinding]()
    try:
        found, others, heartbeat = asyncio.run(_check(settings))
    except TocsinError as cause:
        wrong += [DoctorFinding("database", describe(cause))]
    else:
        access = asyncio.run(access_troubles(settings, now()))
        wrong += [*_setup(settings, found), *_transports(found), *_trouble(found), *others.wrong, *heartbeat.wrong]
        wrong += [DoctorFinding("access", line) for line in access]
        notes += [*_notes(settings, found), *others.notes, *heartbeat.notes]
        notes += [DoctorFinding("access", line) for line in access_notes(settings)]
        others_of = {finding.code for finding in wrong}
        well += _quiet_transports(found, others_of, is_well=True)
        notes += _quiet_transports(found, others_of, is_well=False)
    typer.echo(as_document(wrong, notes, well) if as_json else as_lines(wrong, notes, well))
    if wrong:
        raise typer.Exit(1)


async def _check(settings: Settings) -> tuple[Checkup, DoctorFindings, DoctorFindings]:
    async with open_context(settings) as context, context.database.read() as tx:
        at = context.clock()
        found = await check_up(tx, at - _HEARTBEAT_WITHIN, at - _WORDED_WITHIN)
        canaries = await check_canaries(tx, settings, at)
        bounced, notes = await check_bounces(tx, settings, at)
        heartbeat = await check_heartbeat(tx, settings, at)
        idle = await idle_monitor_keys(tx, at - _ASKED_WITHIN, at)
        shared = await check_shared_services(tx)
        templates = await failing_templates(tx)
        unreadable = await check_unreadable(tx, at)
    waits = [
        DoctorFinding(
            f"transport {kind}",
            f"{queue.messages} message(s) wait for {kind}, the oldest since {queue.oldest_due_at:%Y-%m-%d %H:%M} UTC:",
            f"see GET /v1/messages?transport={kind}.",
        )
        for kind, queue in sorted(found.waiting.items())
        if at - queue.oldest_due_at > _WAITS_LONG
    ]
    wrong = [
        *(DoctorFinding("canary", line) for line in canaries.wrong),
        *(DoctorFinding("returned mail", line) for line in bounced),
        *waits,
        *(
            DoctorFinding(
                "transport webhook",
                f"For the last message to {name}, {words[:_LONGEST]}:",
                "correct the template (PATCH /v1/recipients/<id>); POST /v1/transports/webhook:preview shows what it makes.",
            )
            for name, words in templates
        ),
        *unreadable,
        *(DoctorFinding("mail server", line) for line in await check_mail_servers(settings)),
        *(DoctorFinding("dkim", line) for line in await check_dkim(settings)),
        *(DoctorFinding("identity provider", line) for line in await check_identity_provider(settings)),
    ]
    good = [
        *(DoctorFinding("canary", line) for line in canaries.notes),
        *(DoctorFinding("returned mail", line) for line in notes),
        *shared,
        *(
            DoctorFinding(
                "monitor keys",
                f"No program used the key {name} of kind monitor since {last:%Y-%m-%d %H:%M} UTC:"
                if last
                else f"No program ever used the key {name} of kind monitor:",
                "see whether the monitoring system still asks, or revoke the key (DELETE /v1/keys/<id>).",
            )
            for name, last in idle
        ),
    ]
    return found, DoctorFindings(tuple(wrong), tuple(good)), heartbeat


def _setup(settings: Settings, found: Checkup) -> Iterator[DoctorFinding]:
    if settings.smtp_url is None and settings.graph_mailbox is None:
        yield DoctorFinding(
            "mail", "No mail server is set, so mail only goes to files:", "`tocsin setup mail` sets it up."
        )
    elif settings.admin_email is None:
        yield DoctorFinding(
            "mail",
            "A mail server is set, but no address:",
            "set TOCSIN_ADMIN_EMAIL (`tocsin setup mail`), or edit the recipients (/v1/recipients).",
        )
    if not found.recipients:
        yield DoctorFinding("recipients", "There is no recipient, so nobody is notified:", "POST /v1/recipients.")
    if not found.enabled_routes:
        yield DoctorFinding("routes", "No route is enabled, so no alert is sent:", "POST /v1/routes.")
    if not found.enabled_summaries:
        yield DoctorFinding(
            "summaries",
            "No summary is scheduled, so nobody notices when alerts stop coming:",
            "POST /v1/summary-schedules.",
        )
    if found.jobs_without_expectation:
        names = ", ".join(found.names_without_expectation) + (", …" if found.jobs_without_expectation > SHOWN else "")
        yield DoctorFinding(
            "expectations",
            f"{found.jobs_without_expectation} of {found.jobs} job(s) have no expectation, so nobody is notified when they do not run: {names}.",
            "PATCH /v1/jobs/<id>.",
        )


def _transports(found: Checkup) -> Iterator[DoctorFinding]:
    if "mapi" in found.used_transports and not found.relays:
        yield DoctorFinding(
            "transport mapi",
            "Recipients use the transport mapi, but there is no relay:",
            "see docs/mapi.md, or remove mapi (PATCH /v1/recipients/<id>).",
        )
    for kind in sorted(found.used_transports - {"file", "mapi"}):
        last = found.last_tests.get(kind)
        how = _HOW_TO_TEST.get(kind, f"POST /v1/transports/{kind}:test")
        if last is None:
            yield DoctorFinding(f"transport {kind}", f"The transport {kind} was never tested:", f"{how}.")
        elif last.outcome != "sent":
            yield DoctorFinding(
                f"transport {kind}",
                f"The last test of {kind} ({last.at:%Y-%m-%d %H:%M} UTC) failed: {last.code} {last.text}.",
                f"Test again: {how}.",
            )
    for kind, last_attempt in sorted(found.last_attempts.items()):
        queue = found.waiting.get(kind)
        mend = remedy_of(last_attempt.code, kind)
        if last_attempt.outcome != "sent" and (queue is not None or mend is not None):
            count = 0 if queue is None else queue.messages
            yield DoctorFinding(
                f"transport {kind}",
                f"The last attempt over {kind} ({last_attempt.ended_at:%Y-%m-%d %H:%M} UTC) ended {last_attempt.outcome}: {last_attempt.code} {last_attempt.text}. {count} message(s) wait for it.",
                mend,
            )


def _quiet_transports(found: Checkup, in_trouble: set[str], *, is_well: bool) -> Iterator[DoctorFinding]:
    """Say of each transport in use without trouble how its last attempt or test ended, so that each has a line.

    `is_well` False: of those whose last attempt failed, although nothing waits and nobody knows a remedy.
    """
    for kind in sorted(found.used_transports - {"file"}):
        if f"transport {kind}" in in_trouble:
            continue
        last, test = found.last_attempts.get(kind), found.last_tests.get(kind)
        if is_well != (last is None or last.outcome in (None, "sent")):
            continue
        if last is not None and last.ended_at is not None:
            text = f"The last attempt over {kind} ({last.ended_at:%Y-%m-%d %H:%M} UTC) ended {last.outcome}; nothing waits for it for long."
        elif test is not None:
            text = f"The last test of {kind} ({test.at:%Y-%m-%d %H:%M} UTC) was sent."
        else:
            text = f"Nothing was sent over {kind} yet."
        yield DoctorFinding(f"transport {kind}", text)


def _trouble(found: Checkup) -> Iterator[DoctorFinding]:
    if not found.living_workers:
        yield DoctorFinding(
            "worker",
            f"No worker had a heartbeat in the last {_HEARTBEAT_WITHIN.seconds} s, so nothing is decided or sent:",
            "start `tocsin serve`, or `tocsin worker`; if it runs, its log has the reason.",
        )
    yield from (DoctorFinding("relay", f"{trouble}.", "See GET /v1/relays.") for trouble in found.relay_troubles)
    if found.overdue_notices.oldest_due_at is not None:
        yield DoctorFinding(
            "composing",
            f"{found.overdue_notices.notices} notice(s) wait to be composed, the oldest since {found.overdue_notices.oldest_due_at:%Y-%m-%d %H:%M} UTC, so they are not sent:",
            "the log has the reason. See GET /v1/notices?state=waiting.",
        )
    if found.silent_agents:
        yield DoctorFinding("agents", f"Agents that do not report any more: {', '.join(found.silent_agents)}.", "")
    if found.alerts_to_nobody:
        yield DoctorFinding(
            "alerts",
            f"{found.alerts_to_nobody} open alert(s) were sent to nobody: no route matches them, or the route has no recipient with a transport.",
            "See GET /v1/notices?state=suppressed for the reasons. Acknowledge or close these alerts, and correct the routes.",
        )
    if found.dead_messages:
        yield DoctorFinding(
            "messages",
            f"{found.dead_messages} message(s) could not be sent and were given up:",
            "GET /v1/messages?state=dead, and once the cause is corrected, POST /v1/messages:retry sends them all again.",
        )
    if found.set_aside_events:
        yield DoctorFinding(
            "events",
            f"{found.set_aside_events} event(s) could not be decided on and were set aside:",
            "GET /v1/events?state=set_aside.",
        )


def _notes(settings: Settings, found: Checkup) -> Iterator[DoctorFinding]:
    if first_keys.path_of(settings).exists():
        yield DoctorFinding(
            "first keys",
            f"The first keys are still in {first_keys.path_of(settings)}:",
            "store them in a safe place and delete the file.",
        )
    if settings.is_sqlite:
        version = tuple(int(part) for part in found.database_version.split("."))
        if version < (3, 51, 3):
            yield DoctorFinding(
                "database",
                f"SQLite {found.database_version}: before 3.51.3 two writing connections can corrupt it.",
                "Tocsin has one; do not write with another program.",
            )
    if found.jobs_unconfirmed:
        yield DoctorFinding(
            "expectations",
            f"{found.jobs_unconfirmed} job(s) have an expectation that was learned from their runs and that nobody confirmed:",
            "GET /v1/jobs?proposed=true, then POST /v1/jobs:confirm-expectations.",
        )
    if not found.jobs:
        yield DoctorFinding("agents", "No agent has reported anything yet:", "POST /v1/events with an enrolment key.")
