"""The settings of how people sign in by an identity provider, as `Settings` reads them."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from app.core.oidc_settings import OidcSettings, read_group_grants


def _check_grants(text: str) -> str:
    read_group_grants(text)
    return text


GroupGrants = Annotated[str, AfterValidator(_check_grants)]


class SignInSettings(BaseModel):
    """The settings that begin with `oidc_`."""

    oidc_issuer: str | None = Field(
        None,
        description="Address of the identity provider (OpenID Connect) that people sign in with, as its `issuer` says it; see [sign-in.md](sign-in.md#an-identity-provider). It may be on a private network.",
    )
    oidc_client_id: str | None = Field(None, min_length=1, description="Id of this service at the identity provider.")
    oidc_client_secret: SecretStr | None = Field(
        None, min_length=1, description="Secret of this service at the identity provider; a public client has none."
    )
    oidc_scopes: str = Field("openid email profile", description="What the identity provider is asked for.")
    oidc_groups_claim: str = Field(
        "groups",
        min_length=1,
        description="Claim with the groups of a person; dots lead into objects, as in `realm_access.roles`.",
    )
    oidc_groups: GroupGrants = Field(
        "",
        description="What groups may do: `tocsin-owners = owner; backup = operator; acme-it = reader: Acme`. The first that fits counts, with the customers of others of the same role. A person in none of them cannot sign in. Empty: roles are set at `/people`.",
    )
    oidc_new_people: bool = Field(
        False, description="Whether people of these groups may sign in although nobody added them at `/people`."
    )
    oidc_link_by_email: bool = Field(
        False,
        description="Whether a first sign-in by the identity provider takes over the person with the same address, if the provider says that it verified the address. Otherwise an owner allows it at `/people`.",
    )
    oidc_label: str = Field(
        "Single sign-on",
        min_length=1,
        max_length=60,
        description="Text of the button that leads to the identity provider.",
    )

    @property
    def oidc(self) -> OidcSettings | None:
        """The identity provider that people sign in with; None: there is none."""
        if self.oidc_issuer is None or self.oidc_client_id is None:
            return None
        return OidcSettings(
            issuer=self.oidc_issuer,
            client_id=self.oidc_client_id,
            client_secret=None if self.oidc_client_secret is None else self.oidc_client_secret.get_secret_value(),
            scopes=self.oidc_scopes,
            groups_claim=self.oidc_groups_claim,
            grants=read_group_grants(self.oidc_groups),
            lets_new_in=self.oidc_new_people,
            links_by_email=self.oidc_link_by_email,
            label=self.oidc_label,
        )
