"""Where the library of an extra is not installed, a message says what to install; it was certainly not sent."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_SEND = """
import asyncio, json, sys
from app.compose.transport_test_mail import example_alerts
from app.core.clock import now
from app.core.secret import Secret
from app.core.settings import load_settings
from app.deliver.transports import build_programs
from app.deliver.transports.remedies import remedy_of
from app.domain.message import Parcel
from app.domain.transport_options import OPTIONS, Sealed

async def send(kind, address, options):
    secret = Secret("s" * 32)
    options = {name: Sealed(secret.seal(text)) for name, text in options.items()}
    transport = build_programs(load_settings(webhook_allow_private=True), secret)[kind]
    parcel = Parcel("m", "r", address, "<m@x>", example_alerts(now(), "https://tocsin.example.org"), options=OPTIONS[kind](**options))
    outcome = await transport.send(parcel)
    preview = transport.preview(parcel)
    await transport.close()
    return [type(outcome).__name__, outcome.is_hopeless_here, outcome.text, remedy_of(outcome.code, kind), preview]

print(json.dumps(asyncio.run(send(*json.loads(sys.argv[1])))))
"""


@pytest.mark.parametrize(
    ("kind", "address", "options", "library"),
    [
        ("apprise", "team", {"url": "json://127.0.0.1:9"}, "apprise"),
        ("snmp", "snmp://127.0.0.1", {"community": "c"}, "pysnmp"),
    ],
)
def test_a_missing_library_is_named(kind: str, address: str, options: dict[str, str], library: str, tmp_path: Path):
    (tmp_path / f"{library}.py").write_text("raise ModuleNotFoundError(__name__)")
    path = ":".join([str(tmp_path), *sys.path])
    command = [sys.executable, "-c", _SEND, json.dumps([kind, address, options])]
    done = subprocess.run(
        command, env={"PYTHONPATH": path}, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    name, is_hopeless_here, text, remedy, preview = json.loads(done.stdout.splitlines()[-1])
    assert (name, is_hopeless_here) == ("Temporary", True), (
        "it is sent once the library is installed, or by the next transport"
    )
    assert f"pip install 'tocsin[{kind}]'" in text
    assert remedy.startswith("Install the package")
    assert preview
