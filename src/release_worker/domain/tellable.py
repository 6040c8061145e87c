"""An error as the ledger can hold it, whatever a plug-in has raised."""

from contextlib import suppress

from release_worker.domain import canonical_json
from release_worker.domain.text import check_storable, printable
from release_worker.errors import ReleaseWorkerError, from_record

_OURS = ReleaseWorkerError.__module__


def tellable(error: ReleaseWorkerError) -> ReleaseWorkerError:
    """The error as whoever reads the ledger gets it: without its causes, which may hold values of rows.

    An error of a subclass that cannot be made again, or with details that no JSON can hold, becomes one of the nearest
    class of ours with its message alone.
    """
    with suppress(Exception):  # a plug-in's class may do anything
        record = error.as_record()
        told = from_record(record)
        check_storable(canonical_json.dumps(record))
        if str(told):
            return told
    classes = (one for one in type(error).__mro__ if issubclass(one, ReleaseWorkerError))
    nearest = next(one for one in classes if one.__module__ == _OURS)
    return nearest(f"{type(error).__name__}: {words_of(error)}", {})


def words_of(error: BaseException) -> str:
    """What an error says, in a form that can be stored and shown; also if it cannot say it."""
    said = "it has no message"
    with suppress(Exception):
        said = str(error)
    return printable(said, 1000)
