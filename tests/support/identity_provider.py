"""A real identity provider for tests of sign-in: oidc-provider under Node, installed by its lock file."""

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.ports import lasting_port

FOLDER = Path(__file__).parent / "oidc_provider"
CLIENT_ID, CLIENT_SECRET = "tocsin", "a secret & more"


def install_provider() -> None:
    """Install oidc-provider, unless it is installed as the lock file says."""
    installed = FOLDER / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (FOLDER / "package-lock.json").stat().st_mtime:
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=FOLDER, check=True, timeout=300
        )


class RunningProvider:
    """A provider that signs in whom the test says, and wants no password."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.issuer = f"http://127.0.0.1:{port}"

    def set_up(self, **sent: object) -> None:
        """Say who is there (`people`), who signs in next (`who`, None: the person refuses), or `rotate` the keys."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write((json.dumps(sent) + "\n").encode())
        self._process.stdin.flush()
        while (line := self._process.stdout.readline()) != b"done\n":  # it also prints warnings
            assert line, "the provider has ended"

    async def walk(self, url: str) -> str:
        """Follow the provider's redirects as a new browser, and return the address that leads back to us."""
        async with httpx.AsyncClient(timeout=30) as browser:
            for _ in range(8):
                answer = await browser.get(url)
                assert answer.status_code in (302, 303), f"{answer.status_code} {answer.text[:500]}"
                url = str(answer.url.join(answer.headers["location"]))
                if not url.startswith(self.issuer):
                    return url
        raise AssertionError("the provider leads nowhere")


@contextmanager
def running_provider(redirect_uri: str) -> Iterator[RunningProvider]:
    """Run a provider until the block ends."""
    install_provider()
    for _ in range(3):  # in one of many runs Node did not come as far as to listen
        port = lasting_port()
        pipe = subprocess.PIPE
        command = ["node", "provider.mjs", str(port), redirect_uri]
        with subprocess.Popen(command, cwd=FOLDER, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
            try:
                if _is_ready(process):
                    yield RunningProvider(process, port)
                    return
            finally:
                process.kill()  # or the end of the block would wait for it
    raise AssertionError("the provider does not start")


def _is_ready(process: "subprocess.Popen[bytes]") -> bool:
    """Wait up to a minute for the line that says that it listens."""
    assert process.stdout is not None
    out, began, seen = process.stdout.fileno(), time.monotonic(), b""
    while b"ready\n" not in seen:
        left = began + 60 - time.monotonic()
        if left <= 0 or not select.select([out], [], [], left)[0]:
            return False
        piece = os.read(out, 65536)
        if not piece:
            return False
        seen += piece
    return True
