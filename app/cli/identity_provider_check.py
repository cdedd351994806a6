"""What `tocsin doctor` says of the identity provider that people sign in with."""

from app.core.errors import Unavailable
from app.core.settings import Settings


async def check_identity_provider(settings: Settings) -> list[str]:
    """Return what is wrong with the identity provider; nothing if none is set."""
    if settings.oidc is None:
        return []
    from app.http.pages.identity_provider import IdentityProvider  # noqa: PLC0415  (takes 0.2 s to import)

    wrong = []
    if settings.base_url is None:
        wrong.append(
            "An identity provider is set, but TOCSIN_BASE_URL is not, so it cannot lead people back here: set it."
        )
    try:
        await IdentityProvider(settings.oidc, "").check()
    except Unavailable as cause:
        wrong.append(f"Nobody can sign in by {settings.oidc.issuer}: {cause.detail}. See docs/sign-in.md.")
    return wrong
