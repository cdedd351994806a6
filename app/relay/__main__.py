"""`py tocsin-relay.pyz ...` and `python -m app.relay ...`."""

import sys

from app.relay.program import main

if __name__ == "__main__":
    sys.exit(main())
