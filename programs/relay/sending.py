"""Send one message through a mailbox, or look for one that may have been sent: the order of steps, and what each proves.

It knows no MAPI and no process. Each phase is announced before the step that it names.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import chain, repeat
from typing import Any

from programs.relay.conversation import ChildOrder, ParentLink
from programs.relay.mailbox import Draft, Mailbox, MessagePlace
from programs.relay.mime_message import MimeMessage
from programs.relay.outcomes import NEVER_SUBMITTED, MapiError, RelayOutcome, RelayVerdict, verdict_of_error

SENT_ITEMS_WAIT = 2.0  # seconds between the message leaving the Outbox and its copy in Sent Items
_NOT_ALLOWED = RelayVerdict(RelayOutcome.TRANSIENT, "the relay did not let it continue", {})


def send(mailbox: Mailbox, message: MimeMessage, order: ChildOrder, link: ParentLink) -> RelayVerdict:
    """Send `message` and prove it. Raises MapiError only for failures before the message was saved."""
    link.phase("logon")
    mailbox.open()
    link.phase("opened")
    draft = mailbox.create(message)
    may_continue = link.phase("created", draft.entryid, draft.search_key)
    lost = {"characters_lost": draft.characters_lost} if draft.characters_lost else {}
    if may_continue and lost and order.has_other_way:
        reason = f"this mailbox would turn {draft.characters_lost} characters into question marks"
        return RelayVerdict(RelayOutcome.LOST_CHARACTERS, reason, {**lost, **_discard(mailbox, draft)})
    if not may_continue or not link.phase("submitting"):
        return _NOT_ALLOWED.with_evidence(**_discard(mailbox, draft))
    try:
        submit_evidence = {**mailbox.submit(draft), **lost}
    except MapiError as error:
        refused = verdict_of_error(error)
        # A broken connection counts as not sent only if the message is still a draft in the Outbox.
        try:
            place = mailbox.find(draft.search_key, ("outbox",))
        except MapiError:
            place = None
        is_draft = place is not None and not place.submitted
        if refused.outcome != RelayOutcome.UNKNOWN and (is_draft or refused.outcome != RelayOutcome.TRANSIENT):
            return refused.with_evidence(**_discard(mailbox, draft))
        evidence = {"looked": False, **refused.evidence}
        return RelayVerdict(RelayOutcome.UNKNOWN, refused.reason, evidence, cause=refused.outcome)
    link.phase("submitted")
    return _drain(mailbox, draft, order, link).with_evidence(**submit_evidence)


def reconcile(mailbox: Mailbox, order: ChildOrder, link: ParentLink) -> RelayVerdict:
    """Look for a message that an earlier child may have submitted. It never submits anything."""
    link.phase("logon")
    mailbox.open()
    link.phase("opened")
    draft = Draft(bytes.fromhex(order.entryid), bytes.fromhex(order.search_key))
    place = mailbox.find(draft.search_key, ("outbox",))
    if place is None:
        # Its sending was killed. Without a copy in Sent Items it left, or was removed by hand: unknown forever.
        try:
            place = mailbox.find(draft.search_key, ("sent",))
        except MapiError as refused:
            why = (
                f"it is not in the Outbox, and Sent Items could not be looked into: {verdict_of_error(refused).reason}"
            )
            return RelayVerdict(RelayOutcome.UNKNOWN, why, {"looked": True, "place": "not in the Outbox"})
        if place is not None:
            return _proven(place) if mailbox.is_tight() else _handed_over(_proven(place))
        why = "it is neither in the Outbox nor in Sent Items"
        return RelayVerdict(RelayOutcome.UNKNOWN, why, {"looked": True, "place": "nowhere"})
    if not place.submitted:
        leftover = _discard(mailbox, Draft(place.entryid, draft.search_key))
        return RelayVerdict(RelayOutcome.TRANSIENT, "it was never submitted", {NEVER_SUBMITTED: True, **leftover})
    return _drain(mailbox, draft, order, link)


def _drain(mailbox: Mailbox, draft: Draft, order: ChildOrder, link: ParentLink) -> RelayVerdict:
    """Wait until the message has left the Outbox, then look for its copy; at the deadline try to take it back."""
    began = time.monotonic()
    place: MessagePlace | None = None
    # Short pauses first, for the usual case, and longer ones later, to spare the server.
    for pause in chain([0.02] * 25, [0.1] * 20, [0.5] * 20, repeat(1.0)):
        try:
            place = mailbox.find(draft.search_key, ("outbox",))
        except MapiError as refused:
            doubt = verdict_of_error(refused)
            reason, evidence = (
                f"the Outbox could not be looked into: {doubt.reason}",
                {"looked": False, **doubt.evidence},
            )
            return RelayVerdict(RelayOutcome.UNKNOWN, reason, evidence, cause=doubt.outcome)
        left = order.drain - (time.monotonic() - began)
        if place is None or left <= 0:
            break
        time.sleep(min(pause, left))
    waited = round(time.monotonic() - began, 3)
    if place is None:
        return _left(mailbox, draft, link).with_evidence(drained=waited)
    if not order.abort:
        return RelayVerdict(RelayOutcome.QUEUED, f"it is still in the Outbox after {waited:g} s", {"drained": waited})
    return _take_back(mailbox, draft, place, link).with_evidence(drained=waited)


def _left(mailbox: Mailbox, draft: Draft, link: ParentLink) -> RelayVerdict:
    """Judge a message that left the Outbox. Without a tight pair only the spooler took it, and the phase that proves more is not sent."""
    if not mailbox.is_tight():
        return _handed_over(_copy(mailbox, draft))
    link.phase("left_outbox")
    return _copy(mailbox, draft)


def _handed_over(copy: RelayVerdict) -> RelayVerdict:
    reason = "handed over to the MAPI spooler, unproven: it left the Outbox, and nothing shows that it went further"
    return RelayVerdict(RelayOutcome.HANDED_OVER, reason, {**copy.evidence, "proof": "none"})


def _copy(mailbox: Mailbox, draft: Draft) -> RelayVerdict:
    """Look for the copy of a message that left the Outbox. A missing copy does not mean that it was not sent."""
    until, seen = time.monotonic() + SENT_ITEMS_WAIT, "no copy seen"
    while time.monotonic() < until:
        try:
            place = mailbox.find(draft.search_key, ("sent",))
        except MapiError as refused:
            seen = f"not looked up: {verdict_of_error(refused).reason}"
            break
        if place is not None:
            return _proven(place)
        time.sleep(0.1)
    return RelayVerdict(RelayOutcome.SENT, "it left the Outbox", {"proof": "left the Outbox", "sent_items": seen})


def _proven(place: MessagePlace) -> RelayVerdict:
    evidence = {"proof": "found in Sent Items", "sent_entryid": place.entryid.hex()}
    return RelayVerdict(RelayOutcome.SENT, "it left the Outbox and is in Sent Items", evidence)


def _take_back(mailbox: Mailbox, draft: Draft, place: MessagePlace, link: ParentLink) -> RelayVerdict:
    """Try to take it back. Only if that worked is it certain that it will not leave later."""
    try:
        mailbox.abort(place.entryid)
    except MapiError as refused:
        if _has_left(mailbox, draft):
            return _left(mailbox, draft, link)
        evidence = {"aborted": False, "abort": verdict_of_error(refused).reason}
        return RelayVerdict(RelayOutcome.STUCK, "it stays in the Outbox and cannot be taken back", evidence)
    if _has_left(mailbox, draft):
        return _left(mailbox, draft, link)
    leftover = _discard(mailbox, Draft(place.entryid, draft.search_key))
    return RelayVerdict(RelayOutcome.STUCK, "it stayed in the Outbox and was taken back", {"aborted": True, **leftover})


def _has_left(mailbox: Mailbox, draft: Draft) -> bool:
    try:
        return mailbox.find(draft.search_key, ("outbox",)) is None
    except MapiError:
        return False


def _discard(mailbox: Mailbox, draft: Draft) -> Mapping[str, Any]:
    """Remove a message that was not sent, so that nobody sends it by hand later."""
    try:
        mailbox.delete(draft.entryid)
    except MapiError as refused:
        return {"left_behind": verdict_of_error(refused).reason}
    return {"left_behind": None}
