"""The table of the fields of transports fits the types of their options."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from app.domain.transport_options import OPTIONS, OwnTransport, Sealed
from app.http.api.transport_options import Options
from app.http.pages.transport_fields import MAIL_TRANSPORTS, TRANSPORT_FIELDS, FieldKind

_SCHEMAS = {schema.model_fields["kind"].default: schema for schema in get_args(get_args(Options)[0])}


def _kind_of(hint: object) -> str:
    parts = [hint, *get_args(hint)]
    if get_origin(hint) is Mapping:
        return "hidden_pairs" if Sealed in parts else "pairs"
    if Sealed in parts:
        return "hidden"
    return "number" if int in parts else "text"


def test_each_transport_can_be_chosen() -> None:
    assert set(get_args(OwnTransport)) | {"mapi"} == {*MAIL_TRANSPORTS, *TRANSPORT_FIELDS}


@pytest.mark.parametrize("transport", OPTIONS)
def test_each_option_has_a_field_of_its_kind(transport: str) -> None:
    hints = get_type_hints(OPTIONS[transport])
    own = {one.name: one for one in TRANSPORT_FIELDS[transport]}
    assert list(own) == [one.name for one in fields(OPTIONS[transport])], "in the order of the options"
    for name, hint in hints.items():
        kind = own[name].kind
        shown = "text" if kind in (FieldKind.CHOICE, FieldKind.LONG) else kind
        assert shown == _kind_of(hint), name


@pytest.mark.parametrize("transport", OPTIONS)
def test_a_field_offers_the_values_that_the_api_takes(transport: str) -> None:
    for one in TRANSPORT_FIELDS[transport]:
        taken = _SCHEMAS[transport].model_fields[one.name].annotation
        if get_origin(taken) is Literal:
            assert one.choices == get_args(taken), one.name
        else:
            assert (one.kind is FieldKind.CHOICE) == bool(one.choices)
