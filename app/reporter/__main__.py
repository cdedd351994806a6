"""`python3 tocsin-report.pyz ...` and `python -m app.reporter ...`."""

import sys

from app.reporter.program import main

if __name__ == "__main__":
    sys.exit(main())
