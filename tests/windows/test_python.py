"""The relay's program on a Python that lacks what it needs."""

import shutil
from pathlib import Path

from tests.windows.lab import Lab, windows_path


def test_a_python_without_pywin32_gets_one_line_that_says_so(lab: Lab, program: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(lab.folder / "python", bare)
    (bare / "python311._pth").write_text("python311.zip\r\n.\r\n")
    printed = lab.run(windows_path(bare / "python.exe"), windows_path(program), "doctor")
    assert printed.strip() == "pywin32 is missing: run `py -m pip install pywin32` as administrator, for all users"
