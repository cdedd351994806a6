"""A headless Windows for tests: Wine, Windows' own CPython with pywin32, and the mail client of `client/`, which reads like a real one.

Built once, in about a minute, and kept outside the checkout under a name made of everything that went into it. Traps that
shaped it: Windows' Python wants pipes for stdout and stderr; the first Wine command starts servers that would hold its pipes
open for ever; without the null graphics driver a dialog ends its program instead of showing.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.windows import windows_python

CLIENT = Path(__file__).parent / "client"
COMPILER = "x86_64-w64-mingw32-gcc"
_SYSTEM = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml=", "WINEARCH": "win64"}
_NOISE = ("DISPLAY", "WAYLAND_DISPLAY", "PYTHONPATH", "PYTHONHOME")
CONTROL_KEY = r"HKLM\System\CurrentControlSet\Control"
LOCK = "lock"  # held by the process that uses a lab
CLIENTS_KEY = r"HKEY_LOCAL_MACHINE\Software\Clients\Mail"


def windows_path(path: Path) -> str:
    """Return a path as Windows sees it."""
    return "Z:" + str(path).replace("/", "\\")


@dataclass(frozen=True)
class Lab:
    """The built lab."""

    folder: Path

    @property
    def client(self) -> Path:
        """Where the mail client lies with its steering, its Outbox and what it sent."""
        return self.folder / "client"

    def environment(self) -> dict[str, str]:
        """Return the environment of a Windows program."""
        plain = {
            name: value for name, value in os.environ.items() if name not in _NOISE and not name.startswith("TOCSIN_")
        }
        return {**plain, **_SYSTEM, "WINEPREFIX": str(self.folder / "prefix")}

    def run(self, *words: str, patience_s: float = 180, **environment: str) -> str:
        """Run a Windows program to its end and return its output."""
        merged = {**self.environment(), **environment}
        done = subprocess.run(
            ["wine", *words], env=merged, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=patience_s, check=False, cwd=self.folder,
        )  # fmt: skip
        ended = f"(exit status {done.returncode})" if done.returncode and not done.stdout else ""
        return done.stdout.decode("utf-8", "replace").replace("\r\n", "\n") + ended

    def python(self, *words: str, patience_s: float = 180, **environment: str) -> str:
        """Run Windows' Python."""
        return self.run(str(self.folder / "python/python.exe"), *words, patience_s=patience_s, **environment)

    @contextlib.contextmanager
    def running(self, program: Path, *words: str) -> Iterator[None]:
        """Have a Windows program run next to the block."""
        null = subprocess.DEVNULL
        command = ["wine", windows_path(program), *words]
        with subprocess.Popen(command, env=self.environment(), stdin=null, stdout=null, stderr=null) as process:
            try:
                yield
            finally:
                process.kill()

    def register(self, name: str, dll: Path | None, *, simple_only: bool = False, is_default: bool = True) -> None:
        """Put a mail client into the registry, as its setup does."""
        lines = [f"[{CLIENTS_KEY}]", f'@="{name}"'] if is_default else []
        lines += [f"[{CLIENTS_KEY}\\{name}]", f'@="{name}"']
        for value in ("DLLPath",) if simple_only else ("DLLPath", "DLLPathEx"):
            if dll is not None:
                lines.append(f'"{value}"="{windows_path(dll)}"'.replace("\\", "\\\\"))
        self.enter(*lines)

    def forget_clients(self) -> None:
        """Take every mail client and every setting of the relay out of the registry."""
        ours, old = r"Software\Tocsin", r"System\CurrentControlSet\Services\DS-Client"
        self.enter(f"[-{CLIENTS_KEY}]", *(f"[-HKEY_LOCAL_MACHINE\\{key}]" for key in (ours, old)))

    def enter(self, *lines: str) -> None:
        """Import lines of a .reg file: one program for all of them, where `reg` is one for each value."""
        path = self.folder / "enter.reg"
        path.write_text("\r\n".join(("REGEDIT4", "", *lines, "")))
        self.run("reg", "import", windows_path(path))

    def registry(self, *words: str) -> None:
        """Run `reg`."""
        self.run("reg", *words)

    def steer(self, **values: object) -> None:
        """Tell the mail client what to do from now on; see client/steer.c. Nothing: behave."""
        lines = "".join(f"{name}={value}\n" for name, value in values.items())
        fresh = self.client / "steer.new"
        fresh.write_text(lines)
        fresh.replace(self.client / "steer.txt")

    def messages(self, folder: str) -> list[str]:
        """Return the texts of what lies in one of the client's folders: drafts, outbox, sent."""
        return [path.read_text("utf-8", "replace") for path in sorted((self.client / folder).glob("*.msg"))]

    def held(self, moment: str) -> int:
        """Count how often the mail client held a child at a moment."""
        calls = self.client / "calls.log"
        lines = calls.read_text("utf-8").splitlines() if calls.exists() else []
        return lines.count(f"held flags=0x00000000 {moment}")

    def clear(self) -> None:
        """Empty the client's folders, and let it behave."""
        self.steer()
        (self.client / "calls.log").unlink(missing_ok=True)
        for folder in ("drafts", "outbox", "sent"):
            shutil.rmtree(self.client / folder, ignore_errors=True)

    @contextlib.contextmanager
    def awake(self) -> Iterator["Lab"]:
        """Keep Windows running for as long as the block; alone, for there is one."""
        with (self.folder / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._warm()
            for what in ("stop", "delete"):  # what a run that was killed left behind
                self.run("sc", what, "TocsinRelay")
            try:
                yield self
            finally:
                self.end()

    def _warm(self) -> None:
        server = _wineserver()
        null = subprocess.DEVNULL
        subprocess.run([server, "-k"], env=self.environment(), stdout=null, stderr=null, check=False)
        subprocess.run([server, "-p"], env=self.environment(), stdin=null, stdout=null, stderr=null, check=False)
        subprocess.run(
            ["wine", "wineboot"], env=self.environment(), stdin=null, stdout=null, stderr=null, check=True, timeout=180
        )

    def end(self) -> None:
        """End every Windows program at once."""
        subprocess.run([_wineserver(), "-k"], env=self.environment(), stderr=subprocess.DEVNULL, check=False)
        time.sleep(0.5)


def built() -> Lab:
    """Return the lab, built again if anything that goes into it has changed."""
    digest = hashlib.sha256(
        (Path(__file__).read_text("utf-8") + Path(windows_python.__file__).read_text("utf-8")).encode()
    )
    for source in sorted(CLIENT.iterdir()):
        digest.update(source.read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tocsin-windows-lab"
    folder = home / digest.hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for old in home.iterdir():
                if old.is_dir() and not _is_awake(old):
                    shutil.rmtree(old)
            _build(folder)
            (folder / "complete").touch()
    return Lab(folder)


def _is_awake(folder: Path) -> bool:
    """Say whether another checkout's tests use this lab: it would be taken away under them."""
    with (folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _build(folder: Path) -> None:
    downloads, python = folder / "downloads", folder / "python"
    (folder / "client").mkdir(parents=True)
    windows_python.unpack_python(python, downloads)
    windows_python.unpack_pywin32(folder / "packages", python, downloads, "win_amd64")
    sources = [str(source) for source in sorted(CLIENT.glob("*.c"))]
    _do(COMPILER, "-O1", "-s", "-shared", "-o", str(folder / "client/client.dll"), *sources)
    shutil.rmtree(downloads)
    lab = Lab(folder)
    _do("wineboot", "-i", env=lab.environment())
    _do(_wineserver(), "-w", env=lab.environment())
    with lab.awake():
        lab.registry("add", r"HKCU\Software\Wine\Drivers", "/v", "Graphics", "/d", "null", "/f")
        # Wine waits 10 s until a service reports that it runs, Windows 30: on a busy machine its Python takes longer.
        lab.registry("add", CONTROL_KEY, "/v", "ServicesPipeTimeout", "/t", "REG_DWORD", "/d", "120000", "/f")


def _do(*words: str, env: dict[str, str] | None = None) -> None:
    null = subprocess.DEVNULL
    done = subprocess.run(words, env=env, stdin=null, stdout=null, stderr=subprocess.PIPE, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:3])}: {done.stderr.decode(errors='replace')[-2000:]}")


def _wineserver() -> str:
    return shutil.which("wineserver") or "/usr/lib/wine/wineserver"
