"""Keeps a form that was sent while its person signs in again, so that the page has it filled in afterwards.

The fields are in a signed cookie of this browser for as long as a sign-in takes: nothing of them is in an address or in the database. A
page names the fields that are kept; passwords, codes and keys are never among them.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Collection
from datetime import timedelta

from fastapi import Request, Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from app.context import AppContext
from app.http.pages.session import SignedIn, cookie_prefix, need_fresh, set_cookie

_KEPT_FOR = timedelta(minutes=10)
_LONGEST = 3500  # bytes of the cookie: browsers refuse one of more than 4096


def need_fresh_and_keep(who: SignedIn, context: AppContext, back: str, form: FormData, fields: Collection[str]) -> None:
    """Do as `need_fresh`, and keep these fields of the form for the page `back`. A form that is too long for that is not kept."""
    try:
        need_fresh(who, context, back)
    except HTTPException as again:
        sent = [(name, value) for name, value in form.multi_items() if name in fields and isinstance(value, str)]
        kept = base64.urlsafe_b64encode(json.dumps([context.clock().timestamp(), sent]).encode()).decode()
        value = f"{kept}.{_sign(context, who, back, kept)}"
        if len(value) <= _LONGEST:
            cookie = Response()
            set_cookie(cookie, context, _cookie(context), value, round(_KEPT_FOR.total_seconds()))
            again.headers = {**(again.headers or {}), "Set-Cookie": cookie.headers["set-cookie"]}
        raise


def kept_form(request: Request, context: AppContext, who: SignedIn) -> FormData | None:
    """Return the form that this session sent to this page before its person signed in again; None where there is none."""
    kept, _, signature = request.cookies.get(_cookie(context), "")[: _LONGEST + 1].partition(".")
    page = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if not kept or not hmac.compare_digest(signature.encode(), _sign(context, who, page, kept).encode()):
        return None
    try:
        at, sent = json.loads(base64.urlsafe_b64decode(kept))
    except (binascii.Error, ValueError):
        return None
    is_over = context.clock().timestamp() - at > _KEPT_FOR.total_seconds()
    return None if is_over else FormData([(name, value) for name, value in sent])


def forget_form(response: Response, context: AppContext) -> None:
    """Delete the kept form: the page has shown it."""
    set_cookie(response, context, _cookie(context), "", 0)


def _sign(context: AppContext, who: SignedIn, page: str, kept: str) -> str:
    """Return the signature of a kept form: it belongs to one session and one page."""
    signed = f"{who.session.id}\n{page}\n{kept}".encode("utf-8", "surrogatepass")
    return hmac.digest(context.secret.derive("kept form"), signed, "sha256").hex()


def _cookie(context: AppContext) -> str:
    return f"{cookie_prefix(context)}tocsin-kept"
