"""As much of curl as the documents' examples use, for machines that have none. Where there is a curl, tests use that one."""

import argparse
import shutil
import sys
from pathlib import Path

import httpx

FAILED = 22  # curl's own exit code for an answer of 400 or more, under -f


def on_path(folder: Path) -> str:
    """Return the prefix for PATH: empty where curl is installed, else a folder with this program under its name."""
    if shutil.which("curl"):
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "curl"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return f"{folder}:"


def main() -> int:
    """Send one request, and write the answer to standard output."""
    read = argparse.ArgumentParser(prog="curl", allow_abbrev=False)
    read.add_argument("url")
    read.add_argument("-H", dest="headers", action="append", default=[])
    read.add_argument("-X", dest="method")
    read.add_argument("-d", "--data-binary", dest="data", action="append")
    read.add_argument("--json")
    read.add_argument("-o", dest="output")
    read.add_argument("-D", dest="head")
    read.add_argument("-f", "--fail-with-body", dest="is_strict", action="store_true")
    read.add_argument("-m", type=float)
    read.add_argument("--retry", type=int)
    read.add_argument("-s", action="store_true")
    read.add_argument("-S", action="store_true")
    asked = read.parse_args()
    body = (
        _json(asked.json)
        if asked.data is None
        else sys.stdin.buffer.read()
        if asked.data == ["@-"]
        else "&".join(asked.data).encode()
    )
    headers = dict(line.split(": ", 1) for line in asked.headers)
    if asked.json is not None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"} | headers
    elif body is not None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    answer = httpx.request(
        asked.method or ("GET" if body is None else "POST"), asked.url, content=body, headers=headers, timeout=60
    )
    if asked.head == "-":
        sys.stdout.write("".join(f"{name}: {value}\r\n" for name, value in answer.headers.items()))
    if asked.output is None:
        sys.stdout.write(answer.text)
    elif asked.output != "/dev/null":
        Path(asked.output).write_bytes(answer.content)
    return FAILED if asked.is_strict and answer.is_error else 0


def _json(text: str | None) -> bytes | None:
    if text is None:
        return None
    return Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()


if __name__ == "__main__":
    sys.exit(main())
