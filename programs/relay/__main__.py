"""`py tocsin-relay.pyz ...` and `python -m programs.relay ...`."""

import sys

from programs.relay.program import main

if __name__ == "__main__":
    sys.exit(main())
