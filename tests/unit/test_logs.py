"""How a worker's log looks to a person."""

import sys

from release_worker.worker.logs import console


def test_a_traceback_on_a_terminal_shows_no_value_of_a_variable() -> None:
    password = "hunter2".upper()
    try:
        password.index("?")
    except ValueError:
        shown = console()(None, "error", {"event": "request_broke", "exc_info": sys.exc_info()})

    assert "request_broke" in shown
    assert "ValueError: substring not found" in shown
    assert "HUNTER2" not in shown
