"""/reading and /more: how somebody reads pages (theme, language), kept in cookies; and what has no place in a phone's bar."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.http.api.dependencies import Context
from app.http.pages.frame import THEMES, render
from app.http.pages.languages import LANGUAGES
from app.http.pages.session import SignedInPerson, is_secure, read_form, safe_next

router = APIRouter(include_in_schema=False)

_YEAR_S = 366 * 24 * 3600


@router.post("/reading/choice")
async def post_reading(request: Request, context: Context) -> Response:
    """Keep a theme or a language. It needs no session, for it changes nothing but how this browser sees pages."""
    form = await read_form(request)
    answer = RedirectResponse(safe_next(str(form.get("back") or "/")), 303)
    for name, allowed in (("theme", THEMES), ("language", tuple(LANGUAGES))):
        if form.get(name) in allowed:
            answer.set_cookie(
                name, str(form.get(name)), max_age=_YEAR_S, secure=is_secure(context), httponly=True, samesite="lax"
            )
    return answer


@router.get("/more")
async def show_more(request: Request, context: Context, who: SignedInPerson) -> HTMLResponse:
    """Show the pages that a phone's bar has no room for."""
    return render(request, context, who, "more.html", place="more")
