"""The tree of errors. Each has a stable code that the API, the command line and the log show alike.

TocsinError
    BadInput            what was sent breaks a rule; names the field               422
        MalformedBody   not JSON, not UTF-8, unpacks badly                         400
        TooLarge        over a bound                                               413
        WrongType       a media type or encoding that we do not read               415
    NotAllowed          no key, a wrong key                                        401
        WrongScope      the key is good, but not for this                          403
    NotFound            no such thing                                              404
    Conflict            it changed meanwhile, or the name is taken                 409
        StaleEdit       If-Match does not match                                    412
    Overloaded          the bounded queue is full; try again                       503
    Unavailable         the database is away; try again                            503
    IllegalMove         a state change that the domain forbids (a defect of ours)  409
    ClockWrong          this host's clock differs too much from the database's     exit 2
    BadSettings         a setting is nonsense; names it                            exit 2
"""


class TocsinError(Exception):
    """Anything that we say no to, in words that an administrator can act on."""

    code = "error"
    status = 500

    def __init__(self, detail: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        if code is not None:
            self.code = code


class BadInput(TocsinError):
    """What was sent breaks a rule; `field` names where."""

    code = "bad_input"
    status = 422


class MalformedBody(BadInput):
    """The body cannot be read at all."""

    code = "malformed_body"
    status = 400


class TooLarge(BadInput):
    """Over a bound on size or count."""

    code = "too_large"
    status = 413


class WrongType(BadInput):
    """A media type or content encoding that we do not read."""

    code = "wrong_type"
    status = 415


class NotAllowed(TocsinError):
    """No key, or a key that we do not know."""

    code = "key_unknown"
    status = 401


class WrongScope(NotAllowed):
    """The key is good, but not for this."""

    code = "key_scope"
    status = 403


class NotFound(TocsinError):
    """No such thing."""

    code = "not_found"
    status = 404


class Conflict(TocsinError):
    """It changed meanwhile, or the name is taken."""

    code = "conflict"
    status = 409


class StaleEdit(Conflict):
    """The If-Match given is not the thing's present ETag."""

    code = "stale_edit"
    status = 412


class Overloaded(TocsinError):
    """A bounded queue is full. `retry_after` in seconds."""

    code = "overloaded"
    status = 503
    retry_after = 1


class Unavailable(TocsinError):
    """The database is away: nothing was stored that we could vouch for. `retry_after` in seconds."""

    code = "unavailable"
    status = 503
    retry_after = 5


class IllegalMove(Conflict):
    """A change of state that the domain forbids."""

    code = "illegal_move"


class ClockWrong(TocsinError):
    """This host's time cannot be worked by."""

    code = "clock_wrong"


class BadSettings(TocsinError):
    """A setting is nonsense; the detail names it."""

    code = "bad_settings"
