"""The files that pages load: style, script, and what was taken from npm (`assets/vendor/`, listed in `vendor.json`).

Their addresses contain a hash of their content, so a browser may keep them for a year and never shows a page with an old style.
"""

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response

from app.core.errors import NotFound

router = APIRouter(include_in_schema=False)

_FOLDER = files("app.http.pages").joinpath("assets")
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_NAMES = (
    "vendor/modern-normalize.css",
    "vendor/uPlot.min.css",
    "vendor/uPlot.iife.min.js",
    "vendor/htmx.min.js",
    "dashboard.css",
    "dashboard.js",
    "charts.js",
    "wall.css",
    "wall.js",
    "icon.svg",
)


@cache
def _contents() -> dict[str, tuple[str, bytes]]:
    """Return each file by its address: its media type and its bytes."""
    found = {}
    for name in _NAMES:
        content = _FOLDER.joinpath(name).read_bytes()
        stem, dot, ending = name.rpartition("/")[2].rpartition(".")
        digest = hashlib.sha256(content).hexdigest()[:12]
        found[f"/assets/{stem}.{digest}.{ending}"] = (_TYPES[dot + ending], content)
    return found


@cache
def asset(name: str) -> str:
    """Return the address of a file by its name, such as `dashboard.css`."""
    return list(_contents())[_NAMES.index(name)]


@router.get("/assets/{name}")
async def get_asset(name: str) -> Response:
    """Return a file. An address never gets another content, so browsers and proxies may keep it."""
    try:
        media_type, content = _contents()[f"/assets/{name}"]
    except KeyError as cause:
        raise NotFound("there is no such file") from cause
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(content, media_type=media_type, headers=headers)
