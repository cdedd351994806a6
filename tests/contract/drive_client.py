"""Drives the main routes of a running service with the generated client `tocsin_client`; any surprise is an AssertionError.

Run by test_clients.py in the environment of the generator, so it knows nothing of the service's own code.
"""

import os
import time
from collections.abc import Callable
from typing import TypeVar

from tocsin_client import AuthenticatedClient
from tocsin_client.api.alerts import acknowledge_alert, get_alert, list_alerts
from tocsin_client.api.customers import create_customer, delete_customer, get_customer, update_customer
from tocsin_client.api.events import list_events, post_events
from tocsin_client.api.health import get_readiness
from tocsin_client.api.jobs import get_job, list_jobs, update_job
from tocsin_client.api.messages import get_message, list_messages
from tocsin_client.api.notices import list_notices
from tocsin_client.api.recipients import create_recipient
from tocsin_client.api.routes import create_route
from tocsin_client.api.runs import list_runs
from tocsin_client.models import (
    AddressIn,
    AddressInTransport,
    AlertAcknowledge,
    AlertState,
    CustomerCreate,
    CustomerUpdate,
    EventIn,
    ExpectationIn,
    JobState,
    JobUpdate,
    Problem,
    RecipientCreate,
    RouteCreate,
)

T = TypeVar("T")
PATIENCE_S = 30.0


def main() -> None:
    """Report a failure and follow it to its mail."""
    admin = AuthenticatedClient(os.environ["BASE_URL"], os.environ["ADMIN_KEY"])
    agent = AuthenticatedClient(os.environ["BASE_URL"], os.environ["ENROL_KEY"])
    _check_administration(admin)

    recipient = _need(
        create_recipient.sync(
            client=admin, body=RecipientCreate("Robin", [AddressIn(AddressInTransport.FILE, "robin@example.org")])
        )
    )
    route = create_route.sync(client=admin, body=RouteCreate("databases", [recipient.id], position=0))
    assert _need(route).name == "databases"

    failure = EventIn.from_dict(
        {"agent": "sql01", "job": "nightly-sql", "outcome": "failure", "message": "disk full", "key": "1"}
    )
    assert _need(post_events.sync(client=agent, body=failure)).accepted == 1
    assert _need(post_events.sync(client=agent, body=failure)).duplicates == 1

    job = _until(
        lambda: next(
            (
                one
                for one in _need(list_jobs.sync(client=admin, name="nightly-sql")).items
                if one.state == JobState.FAILED
            ),
            None,
        )
    )
    changed = update_job.sync(
        job.id, client=admin, body=JobUpdate(expectation=ExpectationIn(cron="0 2 * * *", time_zone="Europe/Berlin"))
    )
    assert _need(changed).id == _need(get_job.sync(job.id, client=admin)).id
    assert [event.message for event in _need(list_events.sync(client=admin, job_id=job.id)).items] == ["disk full"]
    assert [run.outcome for run in _need(list_runs.sync(client=admin, job="nightly-sql")).items] == ["failure"]

    [alert] = _need(list_alerts.sync(client=admin, job_id=job.id, state=AlertState.OPEN)).items
    acknowledge_alert.sync(alert.id, client=admin, body=AlertAcknowledge("Robin", "looking at it"))
    assert "Robin" in str(_need(get_alert.sync(alert.id, client=admin)).acknowledged_by)
    assert _need(list_notices.sync(client=admin, alert_id=alert.id)).items

    message = _until(
        lambda: next(
            (one for one in _need(list_messages.sync(client=admin, job_id=job.id)).items if one.state == "sent"), None
        )
    )
    assert _need(get_message.sync(message.id, client=admin)).subject == message.subject
    assert get_readiness.sync(client=admin) is not None


def _check_administration(admin: AuthenticatedClient) -> None:
    """Create, change, read and delete one resource, and read the problem that a mistake returns."""
    customer = _need(create_customer.sync(client=admin, body=CustomerCreate("Acme")))
    changed = update_customer.sync(customer.id, client=admin, body=CustomerUpdate(time_zone="Europe/Berlin"))
    assert _need(changed).time_zone == "Europe/Berlin"
    assert delete_customer.sync_detailed(customer.id, client=admin).status_code == 204
    problem = get_customer.sync(customer.id, client=admin)
    assert isinstance(problem, Problem)
    assert problem.code == "not_found"


def _need(answer: T | Problem | None) -> T:
    """Return the answer, which must not be a problem."""
    assert answer is not None
    assert not isinstance(answer, Problem), answer
    return answer


def _until(look: Callable[[], T | None]) -> T:
    """Look until there is something; the worker needs a moment."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(0.1)
    raise AssertionError("nothing appeared in time")


if __name__ == "__main__":
    main()
