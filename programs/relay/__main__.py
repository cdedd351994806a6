"""`py tocsin-relay.pyz ...` and `python -m programs.relay ...`."""

import sys

if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        # One starts for each message: it loads neither the client of the service nor what a Windows service needs.
        from programs.relay import child

        sys.exit(child.main())
    from programs.relay import program

    sys.exit(program.main())
