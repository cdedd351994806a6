"""/metrics after a failure was received, decided, composed and sent: the numbers of every stage have changed."""

import asyncio
import re
from pathlib import Path

import pytest

from app.worker import run
from tests.support.api import ENROL_KEY, serving

FAILURE = {"agent": "sql01", "job": "db", "outcome": "failure", "key": "k1"}
STAGES = {"received_to_decided", "decided_to_worded", "worded_to_sent"}


def counts(text: str) -> dict[str, float]:
    """Return how many events were counted; the registry is the process's, so other tests have counted too."""
    return {found[1]: float(found[2]) for found in re.finditer(r"tocsin_events_total\{(.*)\} (\S+)", text)}


@pytest.mark.slow
async def test_every_stage_of_an_alert_is_counted(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, work=run) as api:
        before = counts((await api.ask("GET", "/metrics")).text)
        await api.report(FAILURE)
        answer = await api.ask("POST", "/v1/events", key=ENROL_KEY, json=[FAILURE, {"outcome": 3}])
        assert answer.status_code == 202
        for _ in range(150):
            text = (await api.ask("GET", "/metrics")).text
            timed = set(re.findall(r'tocsin_stage_seconds_count\{.*?stage="(\w+)".*?\} [1-9]', text))
            if timed == STAGES and 'tocsin_alerts_open{kind="failed"} 1.0' in text:
                break
            await asyncio.sleep(0.1)
        assert timed == STAGES
        assert 'tocsin_alerts_open{kind="failed"} 1.0' in text
        grown = {name: number - before.get(name, 0) for name, number in counts(text).items()}
        assert grown['outcome="failure",result="accepted"'] == 1
        assert grown['outcome="",result="duplicate"'] == 1
        assert grown['outcome="",result="rejected"'] == 1
