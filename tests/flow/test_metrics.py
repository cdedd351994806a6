"""What /metrics says after a failure was reported, decided, worded and sent: nothing there is a number that never moves."""

import asyncio
import re
from pathlib import Path

from app.worker import run
from tests.support.api import serving


async def test_every_stage_of_an_alert_is_counted(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, work=run) as api:
        await api.report({"agent": "sql01", "job": "db", "outcome": "failure", "key": "k1"})
        answer = await api.ask(
            "POST",
            "/v1/events",
            key="an-enrol-key-for-tests",
            json=[{"agent": "sql01", "job": "db", "outcome": "failure", "key": "k1"}, {"outcome": 3}],
        )
        assert answer.status_code == 202
        wanted = {
            'tocsin_events_total{outcome="failure",result="accepted"} 1.0',
            'tocsin_events_total{outcome="",result="duplicate"} 1.0',
            'tocsin_events_total{outcome="",result="rejected"} 1.0',
        }
        stages = {"received_to_decided", "decided_to_worded", "worded_to_sent"}
        for _ in range(150):
            text = (await api.ask("GET", "/metrics")).text
            counted = set(re.findall(r'tocsin_stage_seconds_count\{.*?stage="(\w+)".*?\} [1-9]', text))
            if counted == stages and wanted <= set(text.splitlines()):
                break
            await asyncio.sleep(0.1)
        assert counted == stages
        assert wanted <= set(text.splitlines())
        assert 'tocsin_alerts_open{kind="failed"} 1.0' in text
