"""Measures what the documents claim: `python -m bench [NAME ...] [DATABASE]` prints each claim with its limit, measured in the same run.

DATABASE is `sqlite` or `postgresql`; without it, both are measured.
"""

import importlib
import os
import platform
import subprocess
import sys
import time

import httpx

from bench.claim import Claim, table
from bench.ground import DATABASES, grounds

# In the order of the table in docs/scale.md, then what else the documents claim.
BENCHES = (
    *("latency", "urgent", "decide", "keeping_up", "storm", "outbox", "summary", "start", "memory"),
    *("intake_single", "intake_batch", "dialects", "reading", "pull", "dashboard"),
)
LONG = ("deciding", "lists", "million")  # many minutes each: only by name

# What may go wrong with one bench: a program that ends or does not answer, a peer that is missing.
_FAILURES = (RuntimeError, OSError, subprocess.SubprocessError, httpx.HTTPError)


def main() -> int:
    """Run the benches named on the command line, or all but the long ones. Exit status 1 if a target is missed or could not be measured."""
    words = sys.argv[1:]
    databases = [name for name in DATABASES if name.lower() in words] or DATABASES
    wanted = [word for word in words if word not in map(str.lower, DATABASES)] or BENCHES
    if unknown := set(wanted) - {*BENCHES, *LONG}:
        print(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(BENCHES + LONG)}", file=sys.stderr)
        return 2
    claims: list[Claim] = []
    failed: list[str] = []
    started = time.monotonic()
    with grounds(databases) as chosen:
        for name in wanted:
            begun = time.monotonic()
            try:
                for claim in importlib.import_module(f"bench.{name}").measure(chosen):
                    claims.append(claim)
                    print("  ".join(claim.cells), file=sys.stderr, flush=True)
            except _FAILURES as cause:  # the others are measured nevertheless
                failed.append(f"{name}: not measured: {cause}")
                print(failed[-1], file=sys.stderr, flush=True)
            print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {time.monotonic() - started:.0f} s")
    print(table(claims))
    verdicts = [claim.verdict for claim in claims if claim.verdict]
    missed = verdicts.count("MISSED")
    print(f"{len(verdicts)} targets: {missed} missed, {verdicts.count('aim met')} with the aim met")
    print("\n".join(failed), end="\n" if failed else "")
    return 1 if missed or failed else 0


if __name__ == "__main__":
    sys.exit(main())
