"""/sign-out: ends a session, here and at the identity provider that began it."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from app.admin.sessions import sign_out
from app.domain.session import SignInWay
from app.http.api.dependencies import Context
from app.http.pages.frame import render
from app.http.pages.provider import provider_logout
from app.http.pages.session import SIGN_IN, PostedForm, SignedInPerson, forget_session

router = APIRouter(include_in_schema=False)


@router.post("/sign-out/now")
async def post_sign_out(request: Request, context: Context, who: SignedInPerson, _form: PostedForm) -> Response:
    """End this session."""
    async with context.database.write() as tx:
        await sign_out(tx, who.person, who.session.id, context.clock())
    leads_to = await provider_logout(request, context) if who.session.way is SignInWay.PROVIDER else None
    response: Response = RedirectResponse(SIGN_IN, 303)
    if leads_to is not None:
        # Not a redirect: the policy of our pages lets a form lead to this service only, and its redirects too.
        response = render(request, context, None, "signed_out.html", leads_to=leads_to)
        response.headers["Refresh"] = f"0; url={leads_to}"
    forget_session(response, context)
    return response
