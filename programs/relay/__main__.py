"""`py tocsin-relay.pyz ...` and `python -m programs.relay ...`."""

import importlib.util
import sys
from collections.abc import Callable

main: Callable[[], int]
if sys.argv[1:] == ["child"]:
    # One starts for each message: it loads neither the client of the service nor what a Windows service needs.
    from programs.relay.child import main
elif sys.platform == "win32" and importlib.util.find_spec("win32api") is None:
    sys.exit("pywin32 is missing: run `py -m pip install pywin32` as administrator, for all users")
else:
    from programs.relay.program import main

if __name__ == "__main__":
    sys.exit(main())
