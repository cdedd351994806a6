"""Runs a real Nagios 4 that checks services every second, and reads the states that it shows."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import join

from tests.support.running import wait_until

_MAIN = """\
log_file={folder}/nagios.log
cfg_file={folder}/objects.cfg
object_cache_file={folder}/objects.cache
precached_object_file={folder}/objects.precache
status_file={folder}/status.dat
status_update_interval=1
nagios_user=root
nagios_group=root
check_external_commands=1
command_file={folder}/nagios.cmd
lock_file={folder}/nagios.pid
temp_file={folder}/nagios.tmp
temp_path={folder}
log_archive_path={folder}
check_result_path={folder}
check_result_reaper_frequency=1
state_retention_file={folder}/retention.dat
interval_length=1
service_inter_check_delay_method=n
"""
_OBJECTS = """\
define timeperiod {{
  timeperiod_name always
  alias always
  {days}
}}
define command {{
  command_name nothing
  command_line /bin/true
}}
define contact {{
  contact_name nobody
  host_notifications_enabled 0
  service_notifications_enabled 0
  host_notification_period always
  service_notification_period always
  host_notification_options n
  service_notification_options n
  host_notification_commands nothing
  service_notification_commands nothing
}}
define host {{
  host_name tocsin
  address 127.0.0.1
  max_check_attempts 1
  check_period always
  notification_period always
  contacts nobody
}}
"""
_SERVICE = """\
define command {{
  command_name {name}
  command_line {command}
}}
define service {{
  host_name tocsin
  service_description {name}
  check_command {name}
  check_interval 2
  retry_interval 2
  max_check_attempts 1
  check_period always
  notification_period always
  contacts nobody
}}
"""
_PASSIVE = """\
define service {{
  host_name tocsin
  service_description {name}
  check_command nothing
  active_checks_enabled 0
  max_check_attempts 1
  check_period always
  notification_period always
  contacts nobody
}}
"""
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class Nagios:
    """A Nagios that runs."""

    folder: Path

    def wait_for(self, service: str, state: str, patience_s: float = 90) -> str:
        """Wait until a service is in a state by a check, and return the output of that check."""

        def look() -> str | None:
            try:
                shown = (self.folder / "status.dat").read_text(encoding="utf-8")
            except OSError:
                return None  # it is just being replaced
            for block in re.findall(r"^servicestatus \{\n(.*?)\n\t\}", shown, flags=re.DOTALL | re.MULTILINE):
                values = dict(line.strip().split("=", 1) for line in block.splitlines() if "=" in line)
                if values["service_description"] == service and values["has_been_checked"] == "1":
                    return values["plugin_output"] if STATES[int(values["current_state"])] == state else None
            return None

        return wait_until(f"{service} {state} in Nagios", look, patience_s)


@contextmanager
def nagios(folder: Path, checks: Mapping[str, Sequence[str]], passive: Sequence[str] = ()) -> Iterator[Nagios]:
    """Run Nagios with these checks (for each service the command that it runs) and services that only take results."""
    folder.mkdir()
    days = "\n  ".join(f"{day} 00:00-24:00" for day in _DAYS)
    objects = _OBJECTS.format(days=days)
    objects += "".join(
        _SERVICE.format(name=name, command=join(command).replace("$", "$$")) for name, command in checks.items()
    )
    objects += "".join(_PASSIVE.format(name=name) for name in passive)
    (folder / "objects.cfg").write_text(objects, encoding="utf-8")
    (folder / "nagios.cfg").write_text(_MAIN.format(folder=folder), encoding="utf-8")
    program = shutil.which("nagios4") or "/usr/sbin/nagios4"
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen([program, str(folder / "nagios.cfg")], stdout=out, stderr=out)
    try:
        yield Nagios(folder)
    finally:
        process.terminate()
        process.wait(30)
