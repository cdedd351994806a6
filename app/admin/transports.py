"""What administrators do to transports: they test them."""

from app.admin.audit import note
from app.admin.editing import Editor
from app.store.routing import TransportTest, save_transport_test
from app.store.transactions import WriteTx


async def record_transport_test(tx: WriteTx, test: TransportTest, address: str, by: Editor) -> None:
    """Store how the test of a transport ended, in place of the one before."""
    await save_transport_test(tx, test)
    await note(tx, by, "test", "transport", test.transport, {"address": address})
