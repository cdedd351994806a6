"""`python3 tocsin-report.pyz ...` and `python -m programs.reporter ...`."""

import sys

from programs.reporter.program import main

if __name__ == "__main__":
    sys.exit(main())
