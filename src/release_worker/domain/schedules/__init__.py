"""Schedules: when they fire, what they ask for, and what becomes of instants that were missed. Nothing here reads a
clock: the instant comes in as an argument."""

from release_worker.extras import require

require("database", "a schedule")
