"""What went wrong, in the reader's language: the texts of pages for errors, and the refusals that pages show next to their forms.

The texts of errors are English, the same in the API, on the command line and in the log. `_REFUSALS` has those that a page can
show; each is also in the catalogs, with the same places for values. A text that is not here is shown as it is, marked as English.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from gettext import NullTranslations
from http import HTTPStatus

from markupsafe import Markup

from app.http.pages.text_patterns import patterns_of, translated

_ = str  # marks texts for the catalogs; they are translated when they are shown

_REFUSALS = (
    _("a name must have 1 to %(n)s characters"),
    _("a password must have at least %(n)s characters"),
    _("a password must have at most %(n)s characters"),
    _("a person with the address %(email)s already exists"),
    _("a silence lasts one year at most"),
    _("address has more than %(n)s URLs"),
    _("address is a name of your choice, without / and :; the URL belongs into options.url"),
    _("address is not a URL that we call"),
    _("address is not a mail address"),
    _("address is our own: what is sent there would come back here"),
    _("address must begin with https://; http:// only with an IP address of a private network"),
    _("address must be the URL of Alertmanager's page, without ? and #"),
    _("address must look like %(form)s"),
    _("this header is set by us"),
    _("transport %(name)s needs the extra %(extra)s: pip install '%(extra2)s'"),
    _("unknown name {%(name)s}"),
    _("%(header)s is a secret: put it into secret_headers, whose values are never shown"),
    _("an owner sees every customer: choose all customers, or another role"),
    _("a period must be a whole number, at least one minute and at most five years"),
    _("choose a role"),
    _("choose for how long the previous secret works"),
    _("choose how long the key works"),
    _("this key is revoked; create another"),
    _("choose at least one customer"),
    _("choose which customers the person sees"),
    _("%(tool)s cannot name a job, so its key must: enter a job"),
    _("enter the name of the host"),
    _("enter a name"),
    _("enter a schedule or a period"),
    _("enter a schedule or a period, not both"),
    _("must be a number of days, at least 1"),
    _("a smaller number deletes older data: tick the box to confirm that"),
    _("this is the last admin key; create another first"),
    _("an enrolment key needs a customer, to which its new agents belong"),
    _("the name is taken"),
    _("there is no customer yet; create one first"),
    _("it is paused: %(why)s"),
    _("must be a number of minutes, at most a year"),
    _("must be after starts_at"),
    _("must be in the future"),
    _("no expectation is proposed for this job"),
    _("the alert is closed already (%(why)s)"),
    _("the form is too old, or another site sent it: go back, load the page again, and try again"),
    _("the silence has ended; create a new one"),
    _("this is not an e-mail address"),
    _("this is not the code that the app shows now"),
    _("this is the last owner: make another person an owner first"),
    _("this password is too easy to guess: use at least %(n)s different characters, and not only your name or address"),
    _("this person may not sign in: allow it first"),
    _("too many tries from here: wait a little, then try again"),
)


@dataclass(frozen=True, slots=True)
class ErrorTexts:
    """What a page for an error says: a title, what happened, and what to do next."""

    title: str
    what: str
    next: str


def refusal_text(detail: str, texts: NullTranslations) -> str | Markup:
    """Return the detail of an error in a language; text that is not translated is marked as English."""
    return translated(detail, texts, _PATTERNS)


def error_texts(status: int, texts: NullTranslations) -> ErrorTexts:
    """Return what the page for a status says."""
    gettext = texts.gettext
    nothing = gettext("Nothing was changed.")
    go_back = gettext("Go back, load the page again, then try again.")
    known: Mapping[int, tuple[str, str, str]] = {
        400: (gettext("This request cannot be read"), nothing, go_back),
        403: (
            gettext("This was not done"),
            gettext("The form was too old, or another site sent it. Nothing was changed."),
            go_back,
        ),
        404: (
            gettext("There is no such page"),
            gettext("It does not exist, or you may not see it."),
            gettext("Check the address, or start from the first page."),
        ),
        405: (
            gettext("This address cannot be opened like this"),
            gettext("It receives a form, or it belongs to another program. Nothing was changed."),
            gettext("Open the page with the form, and use its button."),
        ),
        409: (
            gettext("This is not possible now"),
            gettext("The present state does not allow it. Nothing was changed."),
            gettext("Look at the present state, then decide again."),
        ),
        412: (
            gettext("Somebody else changed it"),
            gettext("It was changed after you opened the form, so your changes were not saved."),
            gettext("Load the page again. It shows what is there now; then enter your changes again."),
        ),
        413: (gettext("The form is too large"), nothing, gettext("Go back, enter less text, then try again.")),
        422: (
            gettext("A value is not valid"),
            gettext("The address or the form has a value that is not possible here. Nothing was changed."),
            gettext("Go back and correct it."),
        ),
        429: (
            gettext("Too many tries"),
            gettext("There were too many tries in a short time."),
            gettext("Wait a little, then try again."),
        ),
        500: (
            gettext("Something went wrong here"),
            gettext("This is a fault of the service, not yours."),
            gettext("Try again. If it happens again, tell whoever runs the service; its log has the cause."),
        ),
        503: (
            gettext("The service cannot do this just now"),
            gettext("Its database cannot be reached or takes no data. Nothing was changed."),
            gettext("Try again in some seconds. If it stays so, run tocsin doctor on the host of the service."),
        ),
    }
    try:
        return ErrorTexts(*known[status])
    except KeyError:
        title = HTTPStatus(status).phrase
        return ErrorTexts(title, nothing, go_back)


_PATTERNS = patterns_of(_REFUSALS)
