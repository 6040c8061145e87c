"""Schedules: added and steered by people, fired by the worker's tick."""
