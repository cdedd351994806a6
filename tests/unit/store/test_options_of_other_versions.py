"""A recipient is still notified where a later version added an option or a kind of transport: after a step back, no alert to it may be lost."""

from typing import Any

import pytest

from app.domain.recipient import Address
from app.domain.transport_options import NagiosOptions
from app.store.row_mapping import addresses_of


@pytest.mark.parametrize(
    ("stored", "options"),
    [
        (
            {"transport": "nagios", "address": "https://n.example", "options": {"host": "{job}", "colour": "red"}},
            NagiosOptions(host="{job}"),
        ),
        ({"transport": "pigeon", "address": "loft 3", "options": {"colour": "grey"}}, None),
    ],
)
def test_what_a_later_version_added_is_left_out(stored: dict[str, Any], options: NagiosOptions | None) -> None:
    ann = {"transport": "smtp", "address": "ann@example.org"}
    first, second = addresses_of([stored, ann])
    assert (first.options, second) == (options, Address("smtp", "ann@example.org"))
