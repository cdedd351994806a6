"""What `tocsin doctor` says about the disks: whether files can be written, and how much room is left. It writes nothing to the database."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx

from app.core.disk import DiskTrouble, Space, diagnose, format_size, limit_of
from app.core.settings import Settings

_PATIENCE_S = 15.0


async def check_disks(settings: Settings) -> list[str]:
    """Return a line for each folder that cannot be written or has little room."""
    return await asyncio.to_thread(lambda: list(_troubles(settings)) or list(_of_running_service(settings)))


def _troubles(settings: Settings) -> Iterator[str]:
    file = settings.database_file
    folders: dict[Path, Path | None] = {settings.var_dir: None}
    if file is not None:
        folders[file.parent] = file
    for folder, database in folders.items():
        if not folder.exists():  # the start makes it
            continue
        if (trouble := diagnose(folder, database)) is not None:
            yield f"Nothing can be written in {folder}: {trouble.what}. To mend it, {trouble.mend}; Tocsin then goes on by itself."
            continue
        space = Space.of(folder)
        limit = limit_of(settings.disk_free, space.total)
        if space.free < limit:
            yield f"The disk of {folder} has {format_size(space.free)} left of {format_size(space.total)}, less than the limit of {format_size(limit)} (TOCSIN_DISK_FREE): free some space on it."
        elif limit and space.has_few_files:
            yield f"The disk of {folder} has room for only {space.files} more files (inodes): delete some."


def _of_running_service(settings: Settings) -> Iterator[str]:
    """Ask the service that runs here: a quota of its user, or a limit of its process, does not hold for this command."""
    try:
        checks = httpx.get(f"{settings.local_url}/readyz", timeout=_PATIENCE_S, trust_env=False).json()["checks"]
        codes = [check.get("code") for check in checks if check["name"] == "database"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return
    for code in codes:
        if code in list(DiskTrouble):
            trouble = DiskTrouble(code)
            yield f"The service cannot write its database: {trouble.what}. To mend it, {trouble.mend}; Tocsin then goes on by itself."
