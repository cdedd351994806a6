"""Runs a real rsyslog that writes what it gets over TLS, TCP and UDP to files, with the structured data that it read."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import lasting_port
from tests.support.running import wait_until

_CONFIG = """\
global(workDirectory="{folder}" DefaultNetstreamDriverCAFile="{ca}" DefaultNetstreamDriverCertFile="{cert}"
  DefaultNetstreamDriverKeyFile="{key}")
module(load="imudp")
{module}
template(name="whole" type="string" string="%pri%|%app-name%|%msgid%|%structured-data%|%msg%\\n")
input(type="imudp" address="127.0.0.1" port="{udp}")
input(type="imtcp" address="127.0.0.1" port="{tcp}")
action(type="omfile" file="{lines}" template="whole" flushOnTXEnd="on")
"""
_PLAIN = 'module(load="imtcp")'
_TLS = 'module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")'


@dataclass(frozen=True, slots=True)
class Rsyslog:
    """Its ports, and the file with a line for each message: pri, app, msgid, structured data, text."""

    tcp: int
    udp: int
    file: Path

    def lines(self) -> list[list[str]]:
        """Return what it got so far."""
        text = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
        return [line.split("|", 4) for line in text.splitlines()]


def has_tls() -> bool:
    """Say whether rsyslog's driver for TLS is installed."""
    return any(Path("/usr/lib").glob("**/rsyslog/lmnsd_gtls.so"))


@contextmanager
def rsyslog(folder: Path, cert: Path | None = None) -> Iterator[Rsyslog]:
    """Run it in the foreground until the block ends; with a certificate, `tcp` speaks TLS."""
    folder.mkdir(parents=True, exist_ok=True)
    it = Rsyslog(lasting_port(), lasting_port(), folder / "lines")
    module = _PLAIN if cert is None else _TLS
    text = _CONFIG.format(
        folder=folder,
        ca=cert or "",
        cert=cert or "",
        key=cert or "",
        module=module,
        tcp=it.tcp,
        udp=it.udp,
        lines=it.file,
    )
    if cert is None:
        text = text[text.index("module(") :]
    config = folder / "rsyslog.conf"
    config.write_text(text)
    command = ["rsyslogd", "-n", "-f", str(config), "-i", str(folder / "pid")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until("rsyslog", (folder / "pid").exists)
            yield it
        finally:
            process.kill()
            process.wait()
