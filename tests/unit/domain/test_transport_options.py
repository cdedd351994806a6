"""The list of transports: one definition, which the API, the command line and the settings of addresses share."""

from typing import get_args

from app.domain.transport_options import OPTIONS, PROGRAM_TRANSPORTS, AnyTransport, OwnTransport


def test_every_transport_to_a_program_can_be_chosen_and_is_listed_once():
    assert len(set(PROGRAM_TRANSPORTS)) == len(PROGRAM_TRANSPORTS)
    assert set(OPTIONS) | {"smtp", "graph", "file"} == set(get_args(OwnTransport))
    assert set(get_args(AnyTransport)) == {*get_args(OwnTransport), "mapi"}
