"""Makes the table of monitoring systems in the README: `make monitoring-table` writes it, from what the last `make test-monitoring` measured.

Each test that follows a failure to a real program and back writes its seconds and the program's version to build/monitoring
(tests/support/measured.py). A row without these was not run, and is not written from memory: the command names it and fails.
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README, MEASURED = ROOT / "README.md", ROOT / "build/monitoring"
BEGIN, END = "<!-- monitoring-table: `make monitoring-table` writes this -->", "<!-- end of monitoring-table -->"
ASKS, IS_TOLD = "it asks Tocsin", "Tocsin sends"
HEAD = (
    "| What | Direction | Page | Tested with | Failure seen after | Recovery seen after |\n|---|---|---|---|---|---|\n"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `note` says what was not run; `has_times` is False where nothing keeps a state that could be followed."""

    name: str
    what: str
    direction: str
    pages: tuple[str, ...]
    note: str = ""
    has_times: bool = True

    def line(self, measured: Mapping[str, object]) -> str:
        """Return the row as Markdown."""
        pages = ", ".join(f"[{Path(page).name}](docs/{page})" for page in self.pages)
        with_what = str(measured["tested_with"]) + (f"; {self.note}" if self.note else "")
        times = [f"{measured[name]} s" if self.has_times else "" for name in ("failure", "recovery")]
        return "| " + " | ".join([self.what, self.direction, pages, with_what, *times]) + " |\n"


ROWS = (
    Row("prometheus", "Prometheus: metrics of each job, alert rules", ASKS, ("monitoring/prometheus.md",)),
    Row(
        "grafana",
        "Grafana: four boards",
        "it asks Prometheus",
        ("monitoring/grafana.md",),
        "not with Grafana itself",
        has_times=False,
    ),
    Row("nagios", "Nagios, Naemon: the plugin `check_tocsin`", ASKS, ("monitoring/nagios.md",), "not with Naemon"),
    Row("icinga", "Icinga 2: the same plugin", ASKS, ("monitoring/icinga.md",)),
    Row("checkmk", "Checkmk: the same plugin", ASKS, ("monitoring/checkmk.md",), "not with Checkmk itself"),
    Row("zabbix", "Zabbix: a template with discovery", ASKS, ("monitoring/zabbix.md",), "not with Zabbix 7"),
    Row("status", "Any program: one verdict as JSON", ASKS, ("monitoring/status.md",)),
    Row("shared", "People without a key: badges and calendars", ASKS, ("monitoring/badge-and-calendar.md",)),
    Row("alertmanager", "Alertmanager", IS_TOLD, ("monitoring/alertmanager.md",)),
    Row("icinga2-results", "Icinga 2: passive results", IS_TOLD, ("monitoring/icinga2-results.md",)),
    Row("nagios-results", "Nagios: passive results by NRDP", IS_TOLD, ("monitoring/nagios-results.md",)),
    Row("zabbix-values", "Zabbix: values of trapper items", IS_TOLD, ("monitoring/zabbix-values.md",)),
    Row("snmp", "SNMP traps and informs", IS_TOLD, ("monitoring/snmp.md",)),
    Row("syslog", "syslog over TLS, TCP and UDP", IS_TOLD, ("monitoring/syslog.md",)),
    Row(
        "apprise",
        "Chat and push services, by Apprise",
        IS_TOLD,
        ("monitoring/apprise.md",),
        "not with the services themselves",
    ),
    Row(
        "pagerduty",
        "PagerDuty, Opsgenie: incidents",
        IS_TOLD,
        ("monitoring/pagerduty.md",),
        "not with the services themselves",
    ),
    Row(
        "webhook",
        "Webhooks, also as Slack, Teams, Discord and Google Chat",
        IS_TOLD,
        ("webhooks.md",),
        "not with the services themselves",
    ),
    Row(
        "heartbeat",
        "Healthchecks, Uptime Kuma, Dead Man's Snitch: they watch Tocsin itself",
        IS_TOLD,
        ("monitoring/heartbeat.md",),
        "not with the services themselves",
    ),
)


def table(measured: Mapping[str, Mapping[str, object]]) -> str:
    """Return the table as Markdown. Raises KeyError with what a test should have measured."""
    return HEAD + "".join(row.line(measured[row.name]) for row in ROWS)


def missing(measured: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return which rows were not measured, or not to their end."""
    return [
        row.name
        for row in ROWS
        if not {"tested_with", *(("failure", "recovery") if row.has_times else ())} <= set(measured.get(row.name, {}))
    ]


def put_into(text: str, written: str) -> str:
    """Return a text with the table between its two marks replaced. Raises ValueError for one without the marks."""
    between = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)
    if not between.search(text):
        raise ValueError(f"there is no {BEGIN}")
    return between.sub(lambda _: f"\n{written}\n", text)


def main() -> int:
    """Write the table into the README. Exit status 1 if a row was not measured."""
    measured = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in MEASURED.glob("*.json")}
    if left := missing(measured):
        print(f"not measured: {', '.join(left)}; run `make test-monitoring` first", file=sys.stderr)
        return 1
    README.write_text(put_into(README.read_text(encoding="utf-8"), table(measured)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
