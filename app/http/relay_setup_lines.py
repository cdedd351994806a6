"""What an administrator pastes on a Windows mail host to set a relay up: two lines for each file that this service has.

They are for PowerShell, as administrator: it downloads, compares a SHA-256 and starts an installation on every Windows in use.
"""

from datetime import datetime

from pydantic import BaseModel, Field

from app.core.settings import Settings
from app.http.program_files import MSI_X64, MSI_X86, ProgramFile, find_program

_PYZ = "tocsin-relay.pyz"
_FOR = {
    MSI_X64: "64-bit Outlook; brings its own Python",
    MSI_X86: "32-bit Outlook; brings its own Python",
    _PYZ: "a host with Python of Outlook's bitness and pywin32, installed for all users",
}
_FOLDERS = {
    MSI_X64: "$Env:ProgramFiles",
    MSI_X86: "$(if (${Env:ProgramFiles(x86)}) {${Env:ProgramFiles(x86)}} else {$Env:ProgramFiles})",
}
_DOWNLOAD = (
    "$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'; "
    "[Net.ServicePointManager]::SecurityProtocol = 'Tls12'; $f = <place>; "
    "Invoke-WebRequest -UseBasicParsing <url>/downloads/<file> -OutFile $f; "
    "if ((Get-FileHash $f).Hash -ne '<sha256>') { throw 'not the file that the service has' }"
)
# 3010: installed, and complete after the next start of Windows.
_INSTALL = (
    '; $p = Start-Process msiexec.exe "/i `"$f`" /qn /norestart" -Wait -PassThru; '
    'if ($p.ExitCode -notin 0, 3010) { throw "not installed: msiexec ended with $($p.ExitCode)" }'
)
# Not in a folder of the administrator's: the service starts it from there, under its own account.
_PYZ_FOLDER = "$Env:ProgramFiles\\Tocsin"
_SETUP = "setup --server <url> --code <code>"


class RelaySetupLines(BaseModel):
    """One file to install the relay from."""

    suits: str = Field(description="Which hosts it is for.", examples=["64-bit Outlook; brings its own Python"])
    file: str = Field(description="Its name at `/downloads`.", examples=[MSI_X64])
    sha256: str = Field(description="The SHA-256 of the file, as the first line compares it.")
    lines: list[str] = Field(
        description="Two lines to paste into PowerShell, as administrator: download and install it; set it up."
    )


class RelaySetupOut(BaseModel):
    """How to set a relay up on its host."""

    code: str = Field(
        description="The one-time code, for which the relay gets its key. Nobody can see it again.",
        examples=["7ZKD-0W3M-XF52-9QHT-BC8R"],
    )
    expires_at: datetime = Field(description="Until when it can be used.")
    programs: list[RelaySetupLines] = Field(description="The files that this service has, the best first: choose one.")
    not_built: list[str] = Field(
        description="The files that it does not have, as nobody built them for it: `make msi`.", examples=[[MSI_X86]]
    )


def setup_out(settings: Settings, code: str, expires_at: datetime) -> RelaySetupOut:
    """Return the lines. It may read files: call it in a thread."""
    found = [file for name in _FOR if (file := find_program(settings, name)) is not None]
    return RelaySetupOut(
        code=code,
        expires_at=expires_at,
        programs=[_lines_for(file, settings.public_url, code) for file in found],
        not_built=[name for name in _FOR if name not in [file.name for file in found]],
    )


def _lines_for(file: ProgramFile, url: str, code: str) -> RelaySetupLines:
    if file.name == _PYZ:
        place = f'"$(New-Item -Force -ItemType Directory "{_PYZ_FOLDER}")\\{_PYZ}"'
        first, second = _DOWNLOAD, f'py "{_PYZ_FOLDER}\\{_PYZ}" {_SETUP}'
    else:
        place = f'"$Env:TEMP\\{file.name}"'
        first, second = _DOWNLOAD + _INSTALL, f'& "{_FOLDERS[file.name]}\\Tocsin Relay\\tocsin-relay.cmd" {_SETUP}'
    # A quoted address: `&` or `$` in it would be a command.
    values = {"<url>": _quoted(url), "<file>": file.name, "<sha256>": file.sha256, "<code>": code}
    first = first.replace("<place>", place)
    lines = [first.replace("<url>/downloads/<file>", _quoted(f"{url}/downloads/{file.name}")), second]
    for name, value in values.items():
        lines = [line.replace(name, value) for line in lines]
    return RelaySetupLines(suits=_FOR[file.name], file=file.name, sha256=file.sha256, lines=lines)


def _quoted(text: str) -> str:
    """Return a text as PowerShell takes it literally."""
    return "'" + text.replace("'", "''") + "'"
