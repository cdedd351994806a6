"""The answer to a request with a share link: an ETag, a short time in caches, and nothing that a browser could run."""

import hashlib

from fastapi import Request, Response
from starlette.status import HTTP_304_NOT_MODIFIED

_HEADERS = {
    # A revoked link shows nothing after a minute, even where a proxy keeps answers.
    "Cache-Control": "private, max-age=60, must-revalidate",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}


def answer_shared(request: Request, text: str, media_type: str) -> Response:
    """Return the text, or 304 where the client has it already."""
    body = text.encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = _HEADERS | {"ETag": etag}
    sent = request.headers.get("if-none-match", "")[:1000]
    if etag in (tag.strip().removeprefix("W/") for tag in sent.split(",")):
        return Response(status_code=HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(body, headers=headers, media_type=media_type)
