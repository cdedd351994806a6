"""GET /downloads/...: our programs for other hosts, each as one file, in the version of this service. They are public: no key is needed."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import FileResponse, PlainTextResponse

from app.core.errors import NotFound
from app.http.api.dependencies import Context, problems
from app.http.program_files import NAMES, find_program

router = APIRouter(tags=["downloads"])
_HASH = ".sha256"
_MEDIA_TYPES = {".pyz": "application/zip", ".msi": "application/x-msi"}


@router.get(
    "/downloads/{name}",
    operation_id="download_program",
    summary="Download a program for another host",
    response_class=Response,
    responses=problems(404)
    | {
        200: {"content": {"application/zip": {}, "application/x-msi": {}, "text/plain": {"schema": {"type": "string"}}}}
    },
)
async def download_program(
    name: Annotated[
        str, Path(description=f"{', '.join(f'`{name}`' for name in NAMES)}; or one of them with `{_HASH}` after it.")
    ],
    context: Context,
) -> Response:
    """Return a program: the relay for the Windows mail host, as an MSI with its own Python or as one file for yours, or
    `tocsin-report.pyz` for backup hosts, or `check_tocsin`, the plugin for Nagios and the like. Python 3.9 or later runs both.

    With `.sha256` after the name, return its SHA-256 as `sha256sum -c` reads it. The MSI files are there once they were built.
    """
    wanted = name.removesuffix(_HASH)
    found = await asyncio.to_thread(find_program, context.settings, wanted)
    if found is None:
        missing = "was not built for this service (make msi)" if wanted in NAMES else f"is none of {', '.join(NAMES)}"
        raise NotFound(f"{wanted[:60]!r} {missing}")
    if name.endswith(_HASH):
        return PlainTextResponse(f"{found.sha256}  {wanted}\n")
    headers = {"X-Checksum-Sha256": found.sha256}
    media_type = _MEDIA_TYPES.get(wanted[-4:], "text/x-python")
    if found.path is not None:
        return FileResponse(found.path, media_type=media_type, filename=wanted, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{wanted}"'
    return Response(found.content, media_type=media_type, headers=headers)
