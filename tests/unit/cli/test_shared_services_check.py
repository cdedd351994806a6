"""What `tocsin doctor` says about jobs that have one service at Icinga, Nagios or Zabbix."""

import pytest

from app.cli.shared_services_check import shared_services
from app.domain.recipient import Address, Recipient
from app.domain.transport_options import Icinga2Options, NagiosOptions, TransportOptions, ZabbixOptions
from app.store.jobs import JobNames

URL = "https://icinga.example.org:5665"
DB = JobNames("cus_1", "Acme", "nas01", "db", "backup")


def finding_of(
    transport: str, options: TransportOptions | None, *jobs: JobNames, customer_id: str | None = None
) -> str:
    """Return the finding about these jobs at one recipient, or nothing."""
    recipient = Recipient("rcp_1", "monitoring", customer_id, (Address(transport, URL, options),))
    return " ".join(one.line for one in shared_services([recipient], list(jobs)))


@pytest.mark.parametrize(
    ("transport", "options", "other", "remedy"),
    [
        ("icinga2", None, DB._replace(activity="verify"), "add {activity} to the names"),
        ("nagios", None, DB._replace(customer_id="cus_2", customer="Bold"), "add {customer} to the names"),
        ("zabbix", None, DB._replace(activity="prune"), "add {activity} to the names"),
        ("icinga2", Icinga2Options(service="backups {kind}"), DB._replace(name="mail"), "add {job} to the names"),
        ("nagios", NagiosOptions(host="backups"), DB._replace(agent="nas02"), "add {agent} to the names"),
        ("nagios", None, DB._replace(name="d?b"), ""),
    ],
)
def test_jobs_with_one_service_are_named_with_what_to_change(
    transport: str, options: TransportOptions | None, other: JobNames, remedy: str
):
    found = finding_of(transport, options, DB, other)
    if not remedy:
        assert found == ""
        return
    assert "1 job(s) have the same service" in found
    assert "recipient monitoring" in found
    assert (
        f"db (backup) on nas01 of Acme and {other.name} ({other.activity}) on {other.agent} of {other.customer}"
        in found
    )
    assert remedy in found


def test_names_that_only_differ_in_replaced_characters_ask_for_another_name():
    found = finding_of("icinga2", None, DB._replace(name="d?b"), DB._replace(name="d*b"))
    assert "'d_b failed' of 'nas01'" in found
    assert "rename one of each" in found


def test_jobs_with_services_of_their_own_are_not_mentioned():
    others = [DB._replace(activity="verify"), DB._replace(customer="Bold", customer_id="cus_2")]
    apart = ZabbixOptions(host="{customer} {agent}", key='t["{job}","{activity}","{kind}"]')
    assert finding_of("zabbix", apart, DB, *others) == ""
    assert finding_of("webhook", None, DB, *others) == ""
    assert finding_of("icinga2", None, DB, others[1], customer_id="cus_1") == "", "the recipient is of one customer"


def test_only_the_first_services_are_named():
    jobs = [
        DB._replace(name=f"job {number}", activity=activity) for activity in ("backup", "verify") for number in range(9)
    ]
    found = finding_of("icinga2", None, *jobs)
    assert "9 job(s) have the same service" in found
    assert "'job 2 failed'" in found
    assert "'job 3 failed'" not in found
