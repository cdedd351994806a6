"""`tocsin demo`: an invented fleet reports its last 14 days to the running service, over HTTP only; then its mails are listed.

It creates its own customers, whose names end in "(demo)", and enrolment keys that it revokes at its end.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from app.cli import demo_fleet, first_keys
from app.cli.api_client import ApiClient, connect, wait_for
from app.cli.demo_fleet import CEDAR, FAILS, FLEET, MISSED, RECOVERS, WARNS, DemoJob
from app.core.settings import Settings, load_settings

# The run is due every minute and the worker checks every 15 s; a service that was stopped first waits five minutes for its agents.
_MISSED_S = 400
_EVERY_MINUTE = {"cron": "* * * * *", "grace_s": 0}

Url = Annotated[str | None, typer.Option(help="URL of the service; by default on this host.")]
Wait = Annotated[bool, typer.Option(help="Whether to wait for the missed run, about a minute.")]


def demo(url: Url = None, *, wait: Wait = True) -> None:
    """Show 14 days of a small fleet, with a failure, a series of warnings, a recovery and a missed run."""
    settings = load_settings()
    with connect(url or settings.local_url, first_keys.admin_key(settings)) as client:
        Demo(client, settings).play(wait=wait)


class Demo:
    """One run of the demo. It remembers the ids of customers and jobs."""

    def __init__(self, client: ApiClient, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._began = datetime.now(UTC)
        self._keys: dict[str, dict[str, Any]] = {}
        self._jobs: dict[DemoJob, str] = {}
        self._shown: set[str] = set()

    def play(self, *, wait: bool) -> None:
        """Run the demo, and revoke its keys whatever happens."""
        try:
            events_by_customer = demo_fleet.nights(self._began)
            for customer, events in events_by_customer.items():
                known = self._client.items("/v1/customers", name=customer)
                owner = known[0] if known else self._client.call("POST", "/v1/customers", json={"name": customer})
                body = {"kind": "enrol", "name": f"demo of {customer}", "customer_id": owner["id"]}
                self._keys[customer] = self._client.call("POST", "/v1/keys", json=body)
                self._report(customer, events)
            total, agents = sum(map(len, events_by_customer.values())), {(job.customer, job.agent) for job in FLEET}
            typer.echo(
                f"{len(agents)} agents reported {total} runs of {len(FLEET)} jobs at {len(events_by_customer)} customers."
            )
            self._jobs = wait_for("the jobs", self._find_jobs)
            for job, job_id in self._jobs.items():
                # The one that did not run is due at the next full minute.
                expectation = _EVERY_MINUTE if job is MISSED else {"cron": job.cron, "grace_s": 3600}
                self._client.call("PATCH", f"/v1/jobs/{job_id}", json={"expectation": expectation})
            self._await_alerts(FAILS, WARNS, RECOVERS)
            self._await_mails()  # a recovery is only sent to recipients of the failure
            self._report(CEDAR, [demo_fleet.recovery(datetime.now(UTC))])
            wait_for("the recovery", lambda: not self._alerts_of(RECOVERS))
            schedules = [s for s in self._client.items("/v1/summary-schedules") if s["customer_id"] is None]
            if schedules:
                self._client.call("POST", f"/v1/summary-schedules/{schedules[0]['id']}:send-now")
                self._await_mails()
            self._show_mails()
            typer.echo(
                f"The recovery of {RECOVERS.name} is mailed five minutes after its failure: mails of one group are at least that far apart."
            )
            if wait:
                typer.echo(
                    f"{MISSED.name} on {MISSED.agent} did not run last night; its alert follows in about a minute (six, if the service was stopped until now) ..."
                )
                self._await_alerts(MISSED, patience_s=_MISSED_S)
                self._await_mails()
                self._show_mails()
        finally:
            if MISSED in self._jobs:
                expectation = {"cron": MISSED.cron, "grace_s": 3600}
                self._client.call("PATCH", f"/v1/jobs/{self._jobs[MISSED]}", json={"expectation": expectation})
            for key in self._keys.values():
                self._client.call("DELETE", f"/v1/keys/{key['id']}")

    def _report(self, customer: str, events: list[dict[str, Any]]) -> None:
        self._client.call("POST", "/v1/events", key=self._keys[customer]["key"], json=events)

    def _find_jobs(self) -> dict[DemoJob, str] | None:
        ids: dict[tuple[str, str, str], str] = {}
        for customer, key in self._keys.items():
            agents = {
                agent["id"]: agent["name"] for agent in self._client.items("/v1/agents", customer_id=key["customer_id"])
            }
            for job in self._client.items("/v1/jobs", customer_id=key["customer_id"]):
                ids[customer, agents.get(job["agent_id"], ""), job["name"]] = job["id"]
        found = {job: ids.get((job.customer, job.agent, job.name), "") for job in FLEET}
        return found if all(found.values()) else None

    def _alerts_of(self, job: DemoJob) -> list[dict[str, Any]]:
        return self._client.items("/v1/alerts", job_id=self._jobs[job], state="open")

    def _await_alerts(self, *jobs: DemoJob, patience_s: float = 30) -> None:
        for job in jobs:
            [alert, *_] = wait_for(f"the alert of {job.name}", lambda job=job: self._alerts_of(job), patience_s)  # type: ignore[misc]
            typer.echo(f"Alert: {alert['kind']}, {job.name} on {job.agent} at {job.customer}: {alert['reason']}")

    def _messages(self) -> list[dict[str, Any]]:
        return self._client.items("/v1/messages", since=self._began.isoformat())

    def _await_mails(self) -> None:
        """Wait until everything that is due now is composed and sent."""

        def are_settled() -> bool:
            now = datetime.now(UTC)
            waiting = self._client.items("/v1/notices", since=self._began.isoformat(), state="waiting")
            due = any(datetime.fromisoformat(notice["due_at"]) <= now for notice in waiting)
            return not due and all(message["state"] in ("sent", "dead") for message in self._messages())

        wait_for("the end of the sending", are_settled)

    def _show_mails(self) -> None:
        for message in reversed(self._messages()):
            if message["id"] in self._shown:
                continue
            self._shown.add(message["id"])
            tries = self._client.call("GET", f"/v1/messages/{message['id']}")["tries"]
            result = tries[-1]["text"] if tries else message["why"]
            where = (
                self._settings.var_dir / "mail" / result
                if message["transport"] == "file"
                else f"{message['address']}: {result}"
            )
            typer.echo(f"Mail {message['state']}: {message['subject']}\n    {where}")
