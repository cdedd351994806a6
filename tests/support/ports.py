"""Ports for programs that are killed and started again at their old address. It opens nothing that stays open."""

import random
import socket

# Below those that systems lend to outgoing connections: one of these could take the port while its owner is dead.
_FIRST, _LAST = 20_000, 32_000
_dice = random.SystemRandom()


def lasting_port() -> int:
    """Return a loopback port on which nothing listens now, and which the system lends to no outgoing connection."""
    while True:
        port = _dice.randint(_FIRST, _LAST)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
