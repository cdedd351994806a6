"""Find errors in the log of a tool that may report success in spite of them, by the table that the reporter on a backup host also uses."""

from programs.protocol.log_errors import LogErrors, find_log_errors

__all__ = ["LogErrors", "find_log_errors"]
