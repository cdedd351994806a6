"""After much was loaded, garbage is still collected a little at a time."""

import subprocess
import sys

# Each connection of a stranger leaves objects that refer to one another; 500 are open at a time.
CONNECTIONS = """
import gc
from collections import deque
from app.core.garbage import freeze_loaded, without_full_rounds

def note(phase, info):
    if phase == "start":
        looked_at[info["generation"]].append(len(gc.get_objects()))

looked_at = [[], [], []]
gc.callbacks.append(note)
with without_full_rounds():
    loaded = [[number] for number in range(400_000)]
    while_loading = len(looked_at[2])
    freeze_loaded()
looked_at = [[], [], []]
class Connection:
    def __init__(self):
        self.parts = [[self] for _ in range(40)]
are_open = deque(maxlen=500)
for _ in range(10_000):
    are_open.append(Connection())
print(while_loading, len(looked_at[2]), max(looked_at[2]))
"""


def test_objects_of_closed_connections_are_freed_before_there_are_many():
    command = [sys.executable, "-c", CONNECTIONS]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    while_loading, rounds, most = map(int, found)
    assert while_loading == 0, "a round over all that is being loaded finds nothing"
    assert rounds > 3
    assert most < 60_000, "of which 20 000 are of open connections"
