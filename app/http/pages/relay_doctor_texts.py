"""What the doctor of a relay reports, in the reader's language: its questions by their names, its answers, and what to do.

The relay writes English, which its command line shows too. A text that is not here, such as one of another version, is shown as it is,
marked as English.
"""

from gettext import NullTranslations

from markupsafe import Markup

from app.http.pages.text_patterns import patterns_of, translated

_ = str  # marks texts for the catalogs; they are translated when they are shown

# By the stable names of the points (programs/relay/doctor.py).
_QUESTIONS = {
    "smtp": _("Could SMTP send these mails instead?"),
    "supported clients": _("Which mail programs may be used?"),
    "mail client": _("Which of them can send without a window?"),
    "bitness": _("Can this Python load that mail program?"),
    "spooler": _("Does mail go directly to Exchange, without the MAPI spooler?"),
    "pywin32": _("Is the library for MAPI installed?"),
    "service account": _("Which account runs this check?"),
    "other mail clients": _("Is the relay the only mail program that runs on this host?"),
    "spool": _("Can this host's disk keep messages until they have left?"),
    "profile": _("Does the mail profile exist?"),
    "tight pair": _("Will mail leave without Outlook open?"),
    "default store": _("Is the Exchange mailbox the profile's default?"),
    "transport order": _("Is Exchange the first to take the mail?"),
    "address book": _("Does the profile have an address book?"),
    "logon": _("Can the relay log on without a window?"),
    "store": _("Can the mailbox send, and show what has left?"),
    "characters": _("Can the mailbox keep every character?"),
    "test message": _("Has a mail left this host before?"),
}
_ANSWERS = (
    _("Yes"),
    _("No"),
    _("Not yet"),
    _("Yes: %(words)s"),
    _("No: %(text)s"),
    _("None: %(text)s"),
    _("Prefer SMTP if you can use it: it is simpler, and its proof is better. SMTP can also send what MAPI cannot."),
    _("Not checked: there is no mail program that can open the profile"),
    _("Yes: the last one left at %(when)s"),
    _("No: no profile is configured"),
    _("Not known: the list of profiles could not be read"),
    _('No: "%(name)s" does not exist. These exist: %(names)s'),
    _("Yes: it can send, and shows the state on the server"),
    _(
        "It can send, but shows only the copy on this host (cached mode): a mail that left the copy may still not be on the server"
    ),
    _("No: the default mailbox cannot send"),
    _("Yes: the mailbox keeps Unicode"),
    _("No: the mailbox keeps only the characters of this host's code page, and replaces all others by question marks"),
    _("%(names)s (from %(place)s)"),
    _("%(names)s (from %(place)s); never used: %(why)s"),
    _("None: %(name)s is not set or empty"),
    _("Not compared: there is no mail program"),
    _("%(name)s: the first one listed; %(file)s"),
    _("%(name)s: the first one that can send without a window, passed over: %(why)s; %(file)s"),
    _("%(name)s lists no mail program"),
    _("no listed mail program can be used: %(why)s"),
    _("Yes: both are %(bits)s"),
    _("Yes: the MAPI spooler, which a service must not use, is not used"),
    _(
        "No: %(name)s is set (in %(place)s), so THE MAPI SPOOLER IS USED. A service must not: mail can stay in the Outbox forever. What the spooler takes counts as `handed_over`, not as sent, and alerts go by the next transport, too"
    ),
    _("No: pywin32 cannot be imported"),
    _("%(name)s, which has no mail profile"),
    _("%(name)s, which is the account of the service"),
    _(
        "%(name)s, but the service runs as %(name2)s. Each account has its own profiles: this report is not valid for the service"
    ),
    _("Yes, but the spool was damaged and replaced by a new one; the old one is kept as %(file)s"),
    _("Yes: no other mail program is running"),
    _("No: %(names)s is running"),
    _("the profile has no default store"),
    _("the profile has no transport"),
    _("the profile has no default"),
    _("store and first transport belong to two services, so mail stays in the Outbox: %(names)s"),
    _("the transport is tied to its own store: %(names)s"),
    _("store and first transport are one Exchange service: %(names)s"),
    _("store and first transport are one service, but none that is known to need no spooler: %(names)s"),
    _("Yes: in %(n)s s, with the start of its process"),
)
_REMEDIES = (
    _("Correct the points above first."),
    _("Run `send-test ADDRESS`, and check that it arrives."),
    _("Install with `--profile NAME`."),
    _('See "Can the relay log on without a window?".'),
    _("Create it in Control Panel, Mail, while logged on as the service's account."),
    _("Switch off cached mode for this account."),
    _("Make the Exchange mailbox the default data file."),
    _("Use a Unicode mailbox. Until then, mails that would lose characters go by the next transport, if there is one."),
    _("Run `--set %(what)s`."),
    _("Remove it from %(name)s."),
    _(
        "Install Microsoft Outlook (not the new Outlook), or send by SMTP; until then messages go by the next transport."
    ),
    _("Install the relay again with that Python."),
    _("Correct the mail program first."),
    _(
        "Run `--set %(what)s` (it writes HKLM\\%(path)s, which overrides the old key) and use an Exchange profile, or SMTP."
    ),
    _("Run `py -m pip install pywin32`."),
    _("Install the service with `--account DOMAIN\\user`, an account that has a mail profile."),
    _("Run doctor as %(name)s, or ask the service for its report."),
    _("Free space on its disk."),
    _("Check the disk, then delete the old one."),
    _("Close it and prevent it from starting: no other program with MAPI may run on this host."),
    _("Use a profile with one Exchange account as the default store and first transport, or SMTP."),
    _("Move the mailbox's own transport to the top."),
    _("Add an address book to the profile."),
    _("Log on as the service's account, open the mail program with this profile and answer its question permanently."),
    _("Open the mail program by hand with this profile: it shows what it waits for."),
    _("Create the profile while logged on as the service's account."),
    _("Check the account's password and its right to the mailbox."),
    _("Make the chosen mail program the default mail program of this host, or repair it."),
    _("Try again; if it fails again, open the mail program by hand."),
)
_PATTERNS = patterns_of((*_ANSWERS, *_REMEDIES))


def relay_question(name: str, question: str, texts: NullTranslations) -> str | Markup:
    """Return the question of a point in a language; of a point that is not known, the question or name that the relay sent."""
    if name in _QUESTIONS:
        return texts.gettext(_QUESTIONS[name])
    return Markup('<span lang="en">{}</span>').format(question or name)


def relay_text(text: str, texts: NullTranslations) -> str | Markup:
    """Return an answer of the doctor, or what to do, in a language; what is not known is marked as English."""
    return translated(text, texts, _PATTERNS)
