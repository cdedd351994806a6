"""A report may be long in each of its parts, and made to be slow to read: it takes bounded time all the same."""

import json
import time

import pytest

from app.intake.dialects.tool_request import ToolRequest
from tests.fuzz.test_dialects import DIALECTS, NOW, PATIENCE_S, check

TOOLS = ("backrest", "duplicati", "gotify", "kopia", "mail", "proxmox")
SIZE = 40_000
PIECES = [
    b"a ", b" ", b"<", b"[", b"\n", b"Path: a\n", b"Failed Entries:\n - a\n", b'<tr class="snapshotstatus-a"><td><span class="path">', b"<td>", b"</span>", b"Error: ",
    b" failed ", b"VMID Name Status Time Size Filename\n", b"1  a  ok  ", b"100: ERROR: ", b"x failed on these a:\n", b"Duplicati Backup report for (, ",
    b"[Error-a]: ", b"ParsedResult: ", b"Failed: ", b"Event: a\nTask: b plan", b"```", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n",
]  # fmt: skip
TITLES = (
    "vzdump backup status (a): backup failed",
    "Sync datastore 'a' failed",
    "Failed to create a snapshot of a on b",
    "Duplicati Backup report for a",
)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_long_report_is_read_in_bounded_time(tool: str):
    dialect, _ = DIALECTS[tool]
    for piece in PIECES:
        for body in (piece * (SIZE // len(piece)), b"\n".join([piece * 50] * (SIZE // len(piece * 50)))):
            begun = time.process_time()
            for title in TITLES:
                for kind, data in bodies(title, body):
                    check(tool, dialect, ToolRequest(NOW, headers={"subject": title, "content-type": kind}, body=data))
            assert time.process_time() - begun < PATIENCE_S, piece


def bodies(title: str, body: bytes) -> list[tuple[str, bytes]]:
    """Put a text wherever a tool's request has one, with its content type."""
    text = body.decode("latin-1")
    table = f"VMID Name Status Time Size Filename\n{text}"
    snapshots = [{"path": text, "status": text, "error": text, "start": text}]
    data = {"ParsedResult": text, "Duration": text, "EndTime": text, "MainOperation": text}
    return [
        ("", f"{title}\n\n".encode() + body),
        ("", f"Subject: {title}\n\n".encode() + body),
        ("", json.dumps({"title": title, "message": table}).encode()),
        ("", json.dumps({"Data": data, "LogLines": [text] * 2, "Exception": text}).encode()),
        ("", json.dumps({"snapshots": snapshots, "hostname": text}).encode()),
        ("multipart/form-data; boundary=x", b"--x\r\n" + body),
    ]
