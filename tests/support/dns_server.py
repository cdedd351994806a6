"""A DNS server on a loopback port that knows a few records, or does not answer at all."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = Mapping[tuple[str, str], tuple[str, ...]]  # (name, type) -> the records as text


@contextmanager
def dns_server(records: Records, *, is_silent: bool = False, rcode: int = dns.rcode.NOERROR) -> Iterator[str]:
    """Answer over UDP from `records`; any other name does not exist. Yields `address:port`."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=_serve, args=(listening, records, is_silent, rcode), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.sendto(b"", listening.getsockname())  # ends the thread
        thread.join(10)
        listening.close()


def _serve(listening: socket.socket, records: Records, is_silent: bool, rcode: int) -> None:
    while True:
        data, sender = listening.recvfrom(4096)
        if not data:
            return
        if is_silent:
            continue
        question = dns.message.from_wire(data)
        [asked] = question.question
        name, kind = asked.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(asked.rdtype)
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        if rcode != dns.rcode.NOERROR:
            answer.set_rcode(rcode)
        elif found := records.get((name, kind)):
            answer.answer.append(dns.rrset.from_text_list(asked.name, 300, "IN", kind, found))
        elif not any(known == name for known, _ in records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        listening.sendto(answer.to_wire(), sender)
