"""A report can be long in each of its parts and written to be slow to read. Reading it takes limited time all the same."""

import json
import time

import pytest

from app.intake.dialects.tool_request import ToolRequest
from tests.fuzz.test_dialects import DIALECTS, MAX_CPU_S, check

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


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_a_long_report_is_read_in_limited_time(tool: str):
    dialect, _ = DIALECTS[tool]
    for piece in PIECES:
        for body in (piece * (SIZE // len(piece)), b"\n".join([piece * 50] * (SIZE // len(piece * 50)))):
            started = time.process_time()
            for title in TITLES:
                for content_type, data in bodies(title, body):
                    check(
                        tool, dialect, ToolRequest(headers={"subject": title, "content-type": content_type}, body=data)
                    )
            assert time.process_time() - started < MAX_CPU_S, piece


def bodies(title: str, body: bytes) -> list[tuple[str, bytes]]:
    """Return requests' content types and bodies that hold the text wherever a tool puts one."""
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
