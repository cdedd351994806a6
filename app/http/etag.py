"""ETags of what can be edited: `"v<version>"`. With If-Match an edit is refused if somebody else was faster."""

import re
from typing import Annotated

from fastapi import Depends, Header, Response

_OURS = re.compile(r'"v(\d{1,9})"')


def expected_versions(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            max_length=200,
            description='The ETag of the version that you edited, such as `"v3"`; without it, the edit replaces newer ones.',
        ),
    ] = None,
) -> frozenset[int] | None:
    """Return the versions that If-Match names; None for any. What is no ETag of ours matches nothing (RFC 9110, 13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (_OURS.fullmatch(part.strip()) for part in if_match.split(","))
    return frozenset(int(tag[1]) for tag in tags if tag is not None)


IfMatch = Annotated[frozenset[int] | None, Depends(expected_versions)]


def put_etag(response: Response, version: int) -> None:
    """Set the ETag of the version that the answer shows."""
    response.headers["ETag"] = f'"v{version}"'
