"""No text of an event becomes a line, a field, a label, a parameter or an object of its own at a program. Each is read as that program reads it."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from app.compose.transport_test_mail import EXAMPLE_ALERT, example_alerts
from app.core.secret import Secret
from app.core.settings import load_settings
from app.deliver.transports import build_programs
from app.domain.message import Parcel
from app.domain.transport_options import (
    Icinga2Options,
    NagiosOptions,
    OpsgenieOptions,
    PagerdutyOptions,
    Sealed,
    TransportOptions,
)
from tests.support.examples import examples

SECRET = Secret("s" * 32)
KEY = Sealed(SECRET.seal("R0123456789ABCDEFGHIJKLMNOPQRSTU"))
FIELDS = ("customer", "agent", "job", "activity", "severity", "kind", "message", "trouble", "reason")
NASTY = (
    "a\r\nX-Evil: 1\r\n\r\nGET / HTTP/1.1",
    'x"] [evil@1 a="b"] <34>1 - - - - - -',
    'x\\"] \\',
    "nightly;0;OK\n[1] PROCESS_SERVICE_CHECK_RESULT;h;s;0;fine",
    "</output></checkresult><checkresult type='host'><state>0</state>",
    "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>&b;",
    '","key":"other.item","value":"0"}],"data":[{',
    'a","b"],other.item["',
    "host.name == 'other' || true",
    "{agent}{job}{id}{__class__}{0}",
    "${jndi:ldap://127.0.0.1/a} $(id) `id` ; id | id",
    "disk full | /=100%;0;0",
    "\x00\x1b[31m\x07\x85\u2028\u2029\x0b\x0c\u202e",
    "=1+1",
    "ü備🔥" * 400,
    "",
    " ",
)
anything = st.one_of(
    st.text(max_size=60), st.sampled_from(NASTY), st.tuples(st.text(max_size=10), st.sampled_from(NASTY)).map("".join)
)
events = st.fixed_dictionaries(dict.fromkeys(FIELDS, anything))
some = settings(max_examples=examples(60), deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
URL = "https://tocsin.example.org"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("programs")
    return build_programs(load_settings(var_dir=folder), SECRET)


def parcel(
    address: str, event: dict[str, str], options: TransportOptions | None = None, what: str = "opened"
) -> Parcel:
    document = json.loads(example_alerts(NOW, URL, what))
    document["data"]["alerts"][0] |= {name: text.encode("utf-8", "replace").decode() for name, text in event.items()}
    return Parcel("msg_1", "rcp_1", address, "<m@t>", json.dumps(document).encode(), options=options)


def body_of(shown: str) -> str:
    return shown.partition("\n\n")[2]


# RFC 5424 section 6: the values of structured data may contain anything but `"`, `\` and `]`, unless a `\` stands before.
LINE = re.compile(
    r"<\d{1,3}>1 \S+ \S+ tocsin - alert\.[a-z]+ "
    r'\[tocsin@32473((?: [a-z]+="(?:[^"\\\]]|\\["\\\]])*")+)\] \ufeff(.*)',
    re.DOTALL,
)
PARAMETER = re.compile(r' ([a-z]+)="((?:[^"\\\]]|\\["\\\]])*)"')
SHOWN = {"id", "what", "kind", "severity", "customer", "agent", "job", "activity", "reason", "url"}


@some
@given(events, st.sampled_from(["tcp", "udp"]))
def test_syslog_gets_one_line_with_the_fields_it_has(programs, event: dict[str, str], scheme: str):
    line = programs["syslog"].preview(parcel(f"{scheme}://192.0.2.1", event))
    assert len(line.encode()) <= 8192
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", line)
    found = LINE.fullmatch(line)
    assert found is not None, line
    parameters = dict(PARAMETER.findall(found[1]))
    assert set(parameters) <= SHOWN
    assert parameters["id"] == EXAMPLE_ALERT


@some
@given(events)
def test_snmp_gets_its_twelve_objects_each_in_one_line(programs, event: dict[str, str]):
    kind, *objects = programs["snmp"].preview(parcel("snmp://192.0.2.1", event)).split("\n")
    assert kind.endswith(".0.1")
    assert [one.partition(" = ")[0].split(".")[-2:] for one in objects] == [[str(n), "0"] for n in range(1, 13)]
    assert all(len(one.partition(" = ")[2].encode()) <= 255 for one in objects)


@some
@given(events)
def test_nagios_gets_one_result_that_no_command_file_cuts(programs, event: dict[str, str]):
    """NRDP writes `PROCESS_SERVICE_CHECK_RESULT;host;service;state;output` and a line end into Nagios' command file."""
    shown = programs["nagios"].preview(parcel("https://192.0.2.1/nrdp/", event, NagiosOptions()))
    [result] = ET.fromstring(shown.partition("XMLDATA=")[2])
    assert [part.tag for part in result] == ["hostname", "servicename", "state", "output"]
    host, service, state, output = (part.text or "" for part in result)
    assert not re.search(r"[;\r\n|\x00-\x1f]", host + service)
    assert not re.search(r"[\r\n|]", output)
    assert state in ("1", "2", "3"), "a failure is never OK"


@some
@given(events)
def test_icinga_gets_the_same_filter_and_the_names_as_values(programs, event: dict[str, str]):
    shown = programs["icinga2"].preview(parcel("https://192.0.2.1:5665", event, Icinga2Options(password=KEY)))
    result = json.loads(body_of(shown))
    assert set(result) == {"type", "filter", "filter_vars", "exit_status", "plugin_output", "check_source"}
    assert result["filter"] == "host.name == tocsin_host && service.name == tocsin_service"
    assert set(result["filter_vars"]) == {"tocsin_host", "tocsin_service"}
    assert result["exit_status"] in (1, 2, 3)
    assert not re.search(r"[\r\n|]", result["plugin_output"])


@some
@given(events)
def test_zabbix_gets_one_value_with_a_key_of_two_parameters(programs, event: dict[str, str]):
    document = json.loads(programs["zabbix"].preview(parcel("zabbix://192.0.2.1", event)))
    [value] = document["data"]
    assert set(value) == {"host", "key", "value"}
    assert value["value"] in ("1", "2", "3")
    # A quoted parameter ends at the first `"` without a `\` before it (Zabbix: item key format).
    assert re.fullmatch(r'tocsin\.state\["[^"\\\x00-\x1f]*","[^"\\\x00-\x1f]*"\]', value["key"]), value["key"]


@some
@given(events)
def test_alertmanager_gets_one_alert_with_its_own_labels(programs, event: dict[str, str]):
    [alert] = json.loads(body_of(programs["alertmanager"].preview(parcel("https://192.0.2.1", event))))
    assert set(alert) == {"labels", "annotations", "startsAt", "generatorURL"}
    assert set(alert["labels"]) <= {
        "alertname",
        "severity",
        "kind",
        "customer",
        "agent",
        "job",
        "activity",
        "tocsin_alert",
    }
    assert alert["labels"]["tocsin_alert"] == EXAMPLE_ALERT
    assert alert["generatorURL"] == URL
    for name in set(alert["labels"]) & set(event):
        assert alert["labels"][name] == event[name].encode("utf-8", "replace").decode()


@some
@given(events, st.sampled_from(["opened", "acknowledged", "recovered"]))
def test_no_event_chooses_the_incident_or_the_address_at_pagerduty_and_opsgenie(
    programs, event: dict[str, str], what: str
):
    to = parcel("https://192.0.2.1/v2/enqueue", event, PagerdutyOptions(KEY), what)
    incident = json.loads(body_of(programs["pagerduty"].preview(to)))
    assert incident["dedup_key"] == EXAMPLE_ALERT
    assert set(incident.get("payload", {})) <= {
        "summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details",
    }  # fmt: skip
    shown = programs["opsgenie"].preview(parcel("https://192.0.2.1", event, OpsgenieOptions(KEY), what))
    request, *headers = shown.partition("\n\n")[0].split("\n")
    path = {"opened": "", "acknowledged": f"/{EXAMPLE_ALERT}/acknowledge", "recovered": f"/{EXAMPLE_ALERT}/close"}[what]
    assert request.partition("?")[0] == f"POST https://192.0.2.1/v2/alerts{path}"
    assert {one.partition(":")[0] for one in headers} == {"content-type", "user-agent", "authorization"}
    assert json.loads(body_of(shown)).get("alias", EXAMPLE_ALERT) == EXAMPLE_ALERT
