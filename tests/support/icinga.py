"""Runs a real Icinga 2 with its API, that checks services every second, and reads the states that it shows."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.nagios import STATES
from tests.support.ports import lasting_port
from tests.support.running import wait_until
from tests.support.sources import ROOT

USER, PASSWORD, HOST = "tests", "a-password-of-tests", "tocsin"
_CONFIG = """\
const NodeName = "localhost"
const ZoneName = "localhost"
include <itl>
object Endpoint NodeName {{ }}
object Zone ZoneName {{ endpoints = [ NodeName ] }}
object ApiListener "api" {{
  bind_host = "127.0.0.1"
  bind_port = {port}
}}
object ApiUser "{user}" {{
  password = "{password}"
  permissions = [ "*" ]
}}
object CheckerComponent "checker" {{ }}
object Host "{host}" {{ check_command = "dummy" }}
"""
_SERVICE = """\
object CheckCommand "command {name}" {{ command = {command} }}
object Service "{name}" {{
  host_name = "{host}"
  check_command = "command {name}"
  check_interval = 2s
  retry_interval = 2s
  max_check_attempts = 1
}}
"""
_PAGE = ROOT / "docs/monitoring/icinga2-results.md"


@dataclass(frozen=True, slots=True)
class Icinga:
    """An Icinga that runs. `url` is its API, whose certificate `ca` signed."""

    url: str
    ca: Path

    def service(self, name: str) -> dict:
        """Return the attributes of a service."""
        answer = httpx.get(
            f"{self.url}/v1/objects/services/{HOST}!{name}",
            auth=(USER, PASSWORD),
            verify=False,
            timeout=10,
            trust_env=False,
        )
        answer.raise_for_status()
        return answer.json()["results"][0]["attrs"]

    def wait_for(self, name: str, state: str, patience_s: float = 90) -> str:
        """Wait until a service is in a state by a check, and return the output of that check."""

        def look() -> str | None:
            try:
                found = self.service(name)
            except httpx.TransportError:
                return None
            result = found["last_check_result"]
            return result["output"] if result and STATES[int(found["state"])] == state else None

        return wait_until(f"{name} {state} in Icinga", look, patience_s)


@contextmanager
def icinga(folder: Path, checks: Mapping[str, Sequence[str]], passive: Sequence[str] = ()) -> Iterator[Icinga]:
    """Run Icinga with these checks (for each service the command that it runs) and services that take results, as docs/monitoring defines them."""
    port = lasting_port()
    certs = folder / "data/certs"
    for part in ("data/certs", "data/ca", "log", "cache", "spool", "run"):
        (folder / part).mkdir(parents=True)
    places = {"DataDir": "data", "LogDir": "log", "CacheDir": "cache", "SpoolDir": "spool", "InitRunDir": "run"}
    defined = [f"-D{name}={folder / place}" for name, place in places.items()]
    defined += ["-DRunAsUser=root", "-DRunAsGroup=root"]
    program = shutil.which("icinga2") or "/usr/sbin/icinga2"
    csr, key, crt = (str(certs / f"localhost.{ending}") for ending in ("csr", "key", "crt"))
    for words in (
        ("pki", "new-ca"),
        ("pki", "new-cert", "--cn", "localhost", "--key", key, "--csr", csr),
        ("pki", "sign-csr", "--csr", csr, "--cert", crt),
    ):
        subprocess.run([program, *words, *defined], check=True, capture_output=True, timeout=60)
    shutil.copy(folder / "data/ca/ca.crt", certs / "ca.crt")
    config = _CONFIG.format(port=port, user=USER, password=PASSWORD, host=HOST)
    config += "".join(
        _SERVICE.format(name=name, host=HOST, command=json.dumps([word.replace("$", "$$") for word in command]))
        for name, command in checks.items()
    )
    [passive_service] = re.findall(
        r"^```icinga2\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    for name in passive:
        config += passive_service.replace('"photos failed"', f'"{name}"').replace('"nas01"', f'"{HOST}"')
    (folder / "icinga2.conf").write_text(config, encoding="utf-8")
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [program, "daemon", "-c", str(folder / "icinga2.conf"), *defined], stdout=out, stderr=out
        )
    try:
        yield Icinga(f"https://127.0.0.1:{port}", certs / "ca.crt")
    finally:
        process.terminate()
        process.wait(60)
