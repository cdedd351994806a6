"""The program on a backup host: runs a backup command unchanged, and reports to the service how it went, now or later."""

VERSION = "0.1.0"
