"""GET /downloads/...: our programs for other hosts, each as one file, in the version of this service. They are public: no key is needed."""

from functools import cache
from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.core.errors import NotFound
from app.core.pyz import PROGRAMS, pack
from app.http.api.dependencies import problems

router = APIRouter(tags=["downloads"])


@router.get(
    "/downloads/{name}",
    operation_id="download_program",
    summary="Download a program for another host",
    response_class=Response,
    responses=problems(404) | {200: {"content": {"application/zip": {}}}},
)
async def download_program(
    name: Annotated[str, Path(description="`tocsin-relay.pyz` or `tocsin-report.pyz`.")],
) -> Response:
    """Return `tocsin-relay.pyz` (for the Windows mail host) or `tocsin-report.pyz` (for backup hosts); Python 3.9 or later runs them."""
    packed = _packed(PROGRAMS[name]) if name in PROGRAMS else None
    if packed is None:
        raise NotFound(f"there is no program {name[:60]!r}; there are {' and '.join(PROGRAMS)}")
    return Response(
        packed, media_type="application/zip", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@cache
def _packed(program: str) -> bytes | None:
    return pack(program)
