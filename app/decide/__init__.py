"""Decides what becomes of events and of time that passes: alerts and notices, each with its reason. It renders and sends nothing."""
