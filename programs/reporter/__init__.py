"""The program on a backup host: runs a backup as it is, and tells the service how it went, now or later."""

VERSION = "0.1.0"
