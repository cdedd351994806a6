"""Build the relay's MSI on Debian, with Python and pywin32 inside: `make msi`, or `python -m deploy.windows.msi --arch x86 --python ZIP`.

The same sources give the same bytes, so that anybody can build a release again and compare its SHA-256. Needs wixl (Debian: wixl).
"""

import argparse
import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from xml.etree import ElementTree as ET

from app import __version__
from app.core.pyz import write
from deploy.windows.windows_python import unpack_python, unpack_pywin32
from programs.relay.mail_clients import machine_of_file

_HERE = Path(__file__).parent
_NAMESPACE = uuid.UUID("a6e62e6b-65c2-4b2c-8c4f-5d2f6b0b7c11")  # the upgrade code in relay.wxs; it never changes
_FIXED_DATE = 1_767_225_600  # 2026-01-01, of every file in the package
_FIXED_FILETIME = (_FIXED_DATE + 11_644_473_600) * 10_000_000
_PLATFORMS = {"x64": ("win_amd64", "ProgramFiles64Folder", "yes"), "x86": ("win32", "ProgramFilesFolder", "no")}
_BITNESS = {"win_amd64": "64-bit", "win32": "32-bit"}
_WIX = "http://schemas.microsoft.com/wix/2006/wi"
_COMMAND = '@"%~dp0python\\python.exe" "%~dp0tocsin-relay.pyz" %*\r\n'
# What the relay imports, and the licences. The rest of pywin32 (its editor, COM servers for scripts, headers) would double the size.
_OF_PYWIN32 = re.compile(
    r"pythoncom\.py|pywin32-[^/]*\.dist-info/.*|win32/[^/]*\.pyd|win32/lib/[^/]*\.py"
    r"|win32com/(client/|server/)?[^/]*\.py|win32comext/(mapi/)?[^/]*\.(py|pyd)"
)
# "=-*": set it, take it away with the component, for the whole machine; "[~];": after what is there. Positions as in Microsoft's own order.
_ON_PATH = (
    "CREATE TABLE `Environment` (`Environment` CHAR(72) NOT NULL, `Name` CHAR(255) NOT NULL LOCALIZABLE, `Value` CHAR(255) LOCALIZABLE, `Component_` CHAR(72) NOT NULL PRIMARY KEY `Environment`)",
    "INSERT INTO `Environment` (`Environment`, `Name`, `Value`, `Component_`) VALUES ('Path', '=-*PATH', '[~];[INSTALLDIR]', 'OnPath')",
    "INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('RemoveEnvironmentStrings', 3300)",
    "INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('WriteEnvironmentStrings', 5200)",
)
_FMTID_SUMMARY = bytes.fromhex("e0859ff2f94f6810ab9108002b27b3d9")  # [MS-OLEPS] 2.21
_CREATED, _SAVED, _REVISION = 12, 13, 9  # property ids in the summary information; the revision is the package code
_FILETIME, _TEXT = 0x40, 0x1E


def build(arch: str, to: Path, python_zip: Path | None = None, version: str = __version__) -> Path:
    """Build the package for one bitness into a folder, and return its path. `version` is another one in tests only."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        _lay_out(tree, Path(scratch) / "downloads", _PLATFORMS[arch][0], python_zip)
        files = sorted(path for path in tree.rglob("*") if path.is_file())
        digest = hashlib.sha256(f"{version} {arch} {(_HERE / 'relay.wxs').read_text()}".encode())
        for path in files:
            digest.update(str(path.relative_to(tree)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
            os.utime(path, (_FIXED_DATE, _FIXED_DATE))
        content = digest.hexdigest()
        listed = tree / "files.wxs"  # wixl looks for files beside the sources that name them
        listed.write_bytes(_list_of_files(tree, files, arch))
        built = Path(scratch) / "relay.msi"
        _run_wixl(arch, version, content, [_HERE / "relay.wxs", listed], built)
        _make_reproducible(built, _guid(f"package {content}"))
        to.mkdir(parents=True, exist_ok=True)
        path = to / f"tocsin-relay-{arch}.msi"
        shutil.copyfile(built, path)
    return path


def _lay_out(tree: Path, downloads: Path, platform: str, python_zip: Path | None) -> None:
    """Write everything that is installed into a folder."""
    everything = downloads / "pywin32"
    unpack_python(tree / "python", downloads, python_zip)
    if machine_of_file(str(tree / "python/python.exe")) != _BITNESS[platform]:
        raise SystemExit(f"this Python is not {_BITNESS[platform]}")
    unpack_pywin32(everything, tree / "python", downloads, platform)
    for source in everything.rglob("*"):
        name = source.relative_to(everything).as_posix()
        if source.is_file() and _OF_PYWIN32.fullmatch(name):
            target = tree / "packages" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    write("relay", tree)
    (tree / "tocsin-relay.cmd").write_text(_COMMAND, newline="")
    shutil.copyfile(_HERE.parents[1] / "LICENSE", tree / "LICENSE.txt")


def _list_of_files(tree: Path, files: list[Path], arch: str) -> bytes:
    """Return a WiX source with one component for each file, as Windows Installer advises; ids and GUIDs are made of its path."""
    win64 = _PLATFORMS[arch][2]
    root = ET.Element("Wix", xmlns=_WIX)
    fragment = ET.SubElement(root, "Fragment")
    folders = {tree: ET.SubElement(fragment, "DirectoryRef", Id="INSTALLDIR")}
    group = ET.Element("ComponentGroup", Id="Files")
    for path in files:
        for folder in [*reversed(path.relative_to(tree).parents)][1:]:
            place = tree / folder
            if place not in folders:
                name = _id("d", folder)
                folders[place] = ET.SubElement(folders[place.parent], "Directory", Id=name, Name=place.name)
        inside = path.relative_to(tree)
        guid = _guid(f"component {arch} {inside.as_posix()}")
        component = ET.SubElement(folders[path.parent], "Component", Id=_id("c", inside), Guid=guid, Win64=win64)
        ET.SubElement(component, "File", Id=_id("f", inside), Name=path.name, Source=inside.as_posix(), KeyPath="yes")
        ET.SubElement(group, "ComponentRef", Id=_id("c", inside))
    fragment.append(group)
    return ET.tostring(root, encoding="unicode").encode()


def _id(kind: str, inside: Path) -> str:
    """Return an identifier of Windows Installer's: at most 72 characters, of few kinds."""
    return f"{kind}_{hashlib.sha256(inside.as_posix().encode()).hexdigest()[:24]}"


def _guid(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name)).upper()


def _run_wixl(arch: str, version: str, content: str, sources: list[Path], to: Path) -> None:
    _, program_files, win64 = _PLATFORMS[arch]
    values = {
        "Version": version,
        "ProductCode": _guid(f"product {content}"),
        "PathComponent": _guid(f"component {arch} PATH"),
        "ProgramFiles": program_files,
        "Win64": win64,
        "PythonFile": _id("f", Path("python/python.exe")),
        "ProgramFile": _id("f", Path("tocsin-relay.pyz")),
    }
    defined = [word for name, value in values.items() for word in ("-D", f"{name}={value}")]
    command = ["wixl", "-a", arch, *defined, "-o", str(to), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode or not to.exists():
        raise SystemExit(f"wixl: {done.stderr[-2000:]}")
    queries = (word for query in _ON_PATH for word in ("-q", query))
    done = subprocess.run(["msibuild", str(to), *queries], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise SystemExit(f"msibuild: {done.stdout}{done.stderr[-2000:]}")


def _make_reproducible(package: Path, package_code: str) -> None:
    """Replace what wixl makes up at each build: the package code and two dates in the summary information ([MS-OLEPS])."""
    data = bytearray(package.read_bytes())
    at = data.find(_FMTID_SUMMARY)
    if at < 0 or data.find(_FMTID_SUMMARY, at + 1) >= 0:
        raise SystemExit("the package's summary information was not found")
    start = (
        at - 28 + struct.unpack_from("<I", data, at + 16)[0]
    )  # the offset counts from the head, 28 bytes before the FMTID
    _, count = struct.unpack_from("<II", data, start)
    places = dict(struct.unpack_from("<II", data, start + 8 + 8 * index) for index in range(count))
    for property_id in (_CREATED, _SAVED):
        place = start + places[property_id]
        if struct.unpack_from("<I", data, place)[0] != _FILETIME:
            raise SystemExit("a date in the summary information has another form")
        struct.pack_into("<Q", data, place + 4, _FIXED_FILETIME)
    place = start + places[_REVISION]
    code = f"{{{package_code}}}".encode()
    if struct.unpack_from("<II", data, place) != (_TEXT, len(code) + 1):
        raise SystemExit("the package code in the summary information has another form")
    data[place + 8 : place + 8 + len(code)] = code
    package.write_bytes(data)


def main() -> None:
    """Build it and print where it lies and its SHA-256."""
    parser = argparse.ArgumentParser(prog="python -m deploy.windows.msi", description="Build the relay's MSI.")
    parser.add_argument("--arch", choices=_PLATFORMS, default="x64")
    parser.add_argument("--python", type=Path, help="an embeddable Python 3.11 of python.org's; needed for x86")
    parser.add_argument("--to", type=Path, default=Path("dist"))
    asked = parser.parse_args()
    if asked.arch == "x86" and asked.python is None:
        parser.error("x86 needs --python python-3.11.9-embed-win32.zip, from python.org")
    path = build(asked.arch, asked.to, asked.python)
    sys.stdout.write(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}\n")


if __name__ == "__main__":
    main()
