"""What Flower's list of tasks shows.

Upstream (Flower 2.2): the list has columns for arguments, results and errors, and shows none of them unless it is told
to, so that all requests look alike.
"""

import sys
from typing import Any

FLOWERS_COLUMNS = "name,uuid,state,received,runtime,worker"
COLUMNS = "name,kwargs,state,uuid,result,exception,retries,received,runtime,worker"


def show_what_is_asked(**_: Any) -> None:
    """Choose the columns, if this process is a Flower whose operator has chosen none (`--tasks_columns`)."""
    if "flower.options" not in sys.modules:
        return
    from tornado.options import options

    if options.tasks_columns == FLOWERS_COLUMNS:
        options.tasks_columns = COLUMNS
