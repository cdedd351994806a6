"""The tree of errors. Each has a stable code that is the same in the API, on the command line and in the log.

TocsinError                                                                        status
    BadInput            the request breaks a rule; `field` names the field         422
        MalformedBody   not JSON, not UTF-8, or cannot be decompressed             400
        TooLarge        over a limit of size or count                              413
        WrongType       a media type or encoding that we do not read               415
    NotAllowed          no key, or an unknown one                                  401
        WrongScope      the key is valid, but not for this                         403
    NotLetIn            the limits of an enrolment key refuse this agent           403
    TooManyTries        too many tries of a secret; try again later                429
    OverBudget          the key is beyond a budget; the code names it              429
    NotFound            there is no such object                                    404
    Conflict            the present state forbids it, or the name is taken         409
        StaleEdit       If-Match does not match the ETag                           412
        IllegalMove     a state change that the domain forbids (a bug of ours)     409
    Overloaded          the bounded queue is full; try again                       503
    Unavailable         the database cannot be reached; try again                  503
        CannotWrite     the disk is full, read-only or broken; the code says which 503
    ClockWrong          this host's clock differs too much from the database's     exit code 2
    BadSettings         a setting is invalid; the detail names it                  exit code 2
"""


class TocsinError(Exception):
    """Base of all expected errors. `detail` tells an administrator what to do; `field` names the field, if one is at fault."""

    code = "error"
    status = 500

    def __init__(self, detail: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        if code is not None:
            self.code = code


class BadInput(TocsinError):
    """The request breaks a rule; `field` names the field."""

    code = "bad_input"
    status = 422


class MalformedBody(BadInput):
    """The body cannot be read at all."""

    code = "malformed_body"
    status = 400


class TooLarge(BadInput):
    """The request is over a limit of size or count."""

    code = "too_large"
    status = 413


class WrongType(BadInput):
    """The body has a media type or content encoding that we do not read."""

    code = "wrong_type"
    status = 415


class NotAllowed(TocsinError):
    """There is no key, or it is unknown."""

    code = "key_unknown"
    status = 401


class WrongScope(NotAllowed):
    """The key is valid, but not for this."""

    code = "key_scope"
    status = 403


class NotLetIn(TocsinError):
    """The limits of an enrolment key refuse the agent; `code` names the rule.

    It is no NotAllowed: to a tool that asks with a valid key, "unknown key" would be a wrong answer.
    """

    code = "not_let_in"
    status = 403


class TooManyTries(TocsinError):
    """Somebody tries secrets too fast. `retry_after` in seconds."""

    code = "too_many_tries"
    status = 429
    retry_after = 60


class OverBudget(TocsinError):
    """The key's holder sent more than the key allows. The code names the budget; `retry_after` in seconds."""

    code = "over_budget"
    status = 429

    def __init__(self, detail: str, *, code: str, retry_after: int) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class NotFound(TocsinError):
    """There is no such object."""

    code = "not_found"
    status = 404


class Conflict(TocsinError):
    """The present state forbids it, or the name is taken."""

    code = "conflict"
    status = 409


class StaleEdit(Conflict):
    """The value of If-Match is not the current ETag: somebody else made a change in the meantime."""

    code = "stale_edit"
    status = 412


class Overloaded(TocsinError):
    """A bounded queue is full. `retry_after` in seconds."""

    code = "overloaded"
    status = 503
    retry_after = 1


class Unavailable(TocsinError):
    """The database cannot be reached, so it is not certain that anything was stored. `retry_after` in seconds."""

    code = "unavailable"
    status = 503
    retry_after = 5


class CannotWrite(Unavailable):
    """Nothing was stored, because the disk of the database takes no write. The code is a `DiskTrouble`; `retry_after` in seconds.

    `made_room`: the reserve was given up for it, so that the same write may succeed now.
    """

    code = "disk_error"
    retry_after = 30
    made_room = False


class IllegalMove(Conflict):
    """The domain forbids this change of state."""

    code = "illegal_move"


class ClockWrong(TocsinError):
    """This host's clock is too wrong to work with."""

    code = "clock_wrong"


class BadSettings(TocsinError):
    """A setting is invalid; the detail names it."""

    code = "bad_settings"
