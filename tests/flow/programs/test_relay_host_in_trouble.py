"""The relay's parent on a host in trouble: a full disk, a spool that is damaged, a service that hangs while the relay is to stop."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import relay_host
from tests.support.relay_pair import Pair, paired
from tests.support.running import Running, serving, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def pair(service: Running, tmp_path: Path) -> Iterator[Pair]:
    with paired(service, tmp_path) as pair:
        pair.start()
        wait_until("the doctor", lambda: pair.shown()["doctor_at"], 60)
        yield pair


def test_a_full_disk_is_reported_by_the_doctor_and_the_relay_continues_when_there_is_room(pair: Pair) -> None:
    relay = psutil.Process(pair.process.pid)
    before = relay.rlimit(psutil.RLIMIT_FSIZE)
    relay.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))  # no file grows any more, as on a disk without room
    message_id = pair.test()
    pair.tell(f"/v1/relays/{pair.relay_id}:doctor")
    shown = wait_until("the trouble", lambda: (one := pair.shown())["says_paused"] and one, 60)
    [line] = [one for one in shown["doctor"] if one["name"] == "spool"]
    assert (line["state"], line["found"].startswith("No: ")) == ("fail", True)
    assert f"does not send: {line['question']} No: " in shown["wrong_now"]
    pair.until(message_id, "queued", patience_s=60)  # not kept by a relay that cannot send it
    relay.rlimit(psutil.RLIMIT_FSIZE, before)
    pair.tell(f"/v1/relays/{pair.relay_id}:doctor")
    pair.until(message_id, "sent", patience_s=60)
    assert Counter(relay_host.left(pair.folder)) == {pair.life(message_id)["message_id"]: 1}


def test_a_damaged_spool_costs_what_it_knew_and_sends_nothing_twice(pair: Pair) -> None:
    relay_host.script(pair.folder, hang=["find"])
    in_doubt = pair.test()
    wait_until("submitted", lambda: pair.phase(in_doubt) == "submitted", 60)
    pair.kill()
    spool = pair.folder / "spool.db"
    for path in (spool, spool.with_name("spool.db-wal")):
        path.write_bytes(b"\0" * path.stat().st_size)
    relay_host.script(pair.folder)
    pair.start()
    sent = pair.until(pair.test(), "sent", patience_s=60)
    [line] = [one for one in wait_until("the report", lambda: pair.shown()["doctor"]) if one["name"] == "spool"]
    assert (line["state"], "kept as spool.db.damaged-" in line["found"]) == ("warning", True)
    lost = pair.life(in_doubt)  # when its lease has run out it comes again, marked as what may have left
    assert lost["state"] in ("leased", "unknown")
    left = Counter(relay_host.left(pair.folder))
    assert (left[sent["message_id"]], left[lost["message_id"]] <= 1) == (1, True)


def test_a_service_that_hangs_does_not_keep_the_relay_from_stopping(pair: Pair) -> None:
    """Windows waits for a service that stops, but not for long."""
    relay_host.script(pair.folder, drain=1.5)
    message_id = pair.test()
    wait_until("submitted", lambda: pair.phase(message_id) == "submitted", 60)
    serving = psutil.Process(pair.service.processes[-1].pid)
    serving.suspend()
    try:
        wait_until("its proof", lambda: relay_host.left(pair.folder), 60)
        time.sleep(1)
        began = time.monotonic()
        pair.process.terminate()
        pair.process.wait(60)
        took = time.monotonic() - began
    finally:
        serving.resume()
    assert took < 18, "its last word took longer than the patience of a stop"
    pair.start()
    pair.until(message_id, "sent", patience_s=60)
