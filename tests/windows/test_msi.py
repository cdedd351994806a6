"""The relay's MSI under Wine's Windows Installer: installed, set up, upgraded and removed; and what it leaves where."""

import getpass
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.pyz import pack
from deploy.windows import msi
from programs.relay.loop import VERSION
from tests.support.running import wait_until
from tests.windows.lab import windows_path
from tests.windows.site import Site

CMD = r"C:\Program Files\Tocsin Relay\tocsin-relay.cmd"
ENVIRONMENT = r"HKLM\System\CurrentControlSet\Control\Session Manager\Environment"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The MSI, and one of a later version."""
    folder = tmp_path_factory.mktemp("packages")
    return {version: msi.build("x64", folder / version, version=version) for version in ("0.1.0", "0.2.0")}


@pytest.fixture
def host(site: Site, packages: dict[str, Path]) -> Iterator[Site]:
    """A host with a mail profile, without the relay."""
    site.home = site.lab.folder / "prefix/drive_c/ProgramData/Tocsin Relay"
    shutil.rmtree(site.home, ignore_errors=True)
    profile = r"HKEY_CURRENT_USER\Software\Microsoft\Office\16.0\Outlook\Profiles"
    site.lab.enter(f"[-{profile}]", f"[{profile}\\Backup]")
    yield site
    for package in packages.values():
        installer(site, "/x", package)
    shutil.rmtree(site.home, ignore_errors=True)


def installer(site: Site, what: str, package: Path, *more: str) -> str:
    """Run Windows Installer; return what it and the programs that it starts print."""
    return site.lab.run("msiexec", what, windows_path(package), "/qn", "/norestart", *more, patience_s=400)


def upgrade(site: Site, old: Path, new: Path) -> str:
    """Upgrade as Windows does: the new package has the old one removed first, which that sees by this property.

    Wine removes the old one too, but without the property (RemoveExistingProducts in its dlls/msi), so it is passed by hand here.
    """
    removed = installer(site, "/x", old, "UPGRADINGPRODUCTCODE={A6E62E6B-65C2-4B2C-8C4F-5D2F6B0B7C11}")
    return removed + installer(site, "/i", new)


def tocsin_relay(site: Site, *words: str) -> str:
    return site.lab.run("cmd", "/c", CMD, *words)


def set_up(site: Site) -> str:
    code = site.tell("POST", f"/v1/relays/{site.relay_id}:setup-code")["code"]
    me = ("--account", getpass.getuser(), "--password", "any")
    return tocsin_relay(
        site, "setup", "--server", site.service.url, "--code", code, *me, "--test-to", "you@example.org"
    )


def installed(site: Site) -> Path:
    return site.lab.folder / "prefix/drive_c/Program Files/Tocsin Relay"


def test_installed_set_up_upgraded_and_removed(
    host: Site, packages: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    times: dict[str, float] = {}

    def timed(name: str, act: Callable[[], str]) -> str:
        began = time.monotonic()
        output = act()
        times[name] = time.monotonic() - began
        return output

    assert timed("install", lambda: installer(host, "/i", packages["0.1.0"])) == ""
    assert (installed(host) / "tocsin-relay.pyz").read_bytes() == pack("relay")
    assert tocsin_relay(host, "--version").strip() == f"tocsin-relay {VERSION}"
    assert r"C:\Program Files\Tocsin Relay" in host.lab.run("reg", "query", ENVIRONMENT, "/v", "PATH")
    assert "not installed" in host.lab.run("sc", "query", "TocsinRelay") + tocsin_relay(host, "remove"), (
        "setup does that"
    )
    output = timed("setup", lambda: set_up(host))
    assert "Done." in output, output + host.log()
    key = (host.home / "relay.key").read_bytes()

    assert "running" in timed("upgrade", lambda: upgrade(host, packages["0.1.0"], packages["0.2.0"]))
    assert "running" in tocsin_relay(host, "status"), "it is started again, under its account and with its key"
    assert (host.home / "relay.key").read_bytes() == key
    host.fail("after the upgrade")
    host.message("after the upgrade", "sent")
    assert host.lab.run("reg", "query", ENVIRONMENT, "/v", "PATH").count("Tocsin Relay") == 1

    assert "are deleted" in timed("remove", lambda: installer(host, "/x", packages["0.2.0"]))
    assert not (installed(host) / "tocsin-relay.pyz").exists()
    assert not (installed(host) / "python").exists(), "nothing of it stays"
    assert "TocsinRelay" not in host.lab.run("sc", "query", "TocsinRelay")
    assert not host.home.exists(), "its spool was empty"
    assert "Tocsin Relay" not in host.lab.run("reg", "query", ENVIRONMENT, "/v", "PATH")
    with capsys.disabled():
        print(f"\n{', '.join(f'{name} {taken:.1f} s' for name, taken in times.items())}")  # noqa: T201  (docs/mapi.md)


def test_removed_with_messages_in_the_spool_it_keeps_them_for_the_next_installation(
    host: Site, packages: dict[str, Path]
) -> None:
    installer(host, "/i", packages["0.1.0"])
    assert "Done." in set_up(host)
    host.lab.steer(hold="submitted")
    host.fail("nightly")
    wait_until("held", lambda: host.lab.held("submitted"), 120)
    assert "stopped" in tocsin_relay(host, "stop")
    host.lab.steer()
    installer(host, "/x", packages["0.1.0"])
    assert {"relay.json", "relay.key", "spool.db"} <= {file.name for file in host.home.iterdir()}
    installer(host, "/i", packages["0.1.0"])
    assert "Done." in set_up(host)
    host.message("nightly", "sent")
