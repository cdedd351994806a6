"""`py tocsin-relay.pyz ...` and `python -m programs.relay ...`."""

import importlib.util
import sys

if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        # One starts for each message: it loads neither the client of the service nor what a Windows service needs.
        from programs.relay import child

        sys.exit(child.main())
    if sys.platform == "win32" and importlib.util.find_spec("win32api") is None:
        sys.exit("pywin32 is missing: run `py -m pip install pywin32` as administrator, for all users")
    from programs.relay import program

    sys.exit(program.main())
