"""Measures what the documents claim: `python -m bench [NAME ...]` prints each claim with its limit, measured in the same run."""

import importlib
import os
import platform
import sys
import time

from bench.claim import Claim, table
from bench.ground import grounds

BENCHES = ("intake_single", "intake_batch", "dialects", "reading", "latency", "outbox", "summary", "memory", "deciding")


def main() -> int:
    """Run the benches named on the command line, or all. Exit status 1 if a claim does not hold."""
    wanted = sys.argv[1:] or BENCHES
    if unknown := set(wanted) - set(BENCHES):
        print(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    claims: list[Claim] = []
    started = time.monotonic()
    with grounds() as both:
        for name in wanted:
            begun = time.monotonic()
            for claim in importlib.import_module(f"bench.{name}").measure(both):
                claims.append(claim)
                print("  ".join(claim.cells), file=sys.stderr, flush=True)
            print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {time.monotonic() - started:.0f} s")
    print(table(claims))
    missed = [claim.name for claim in claims if claim.holds is False]
    print(f"{len(missed)} missed" if missed else "every target met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
