"""The metrics, from their catalogue: names, types, labels and what they say."""

from release_worker.metrics.catalogue import METRICS
from release_worker.store.measuring import BOUNDS
from tests.support.reference.markdown import code, document, table

ABOUT = """
What `release-worker metrics` prints, and a worker shows on `RELEASE_WORKER_METRICS_PORT`. All of it is read from
PostgreSQL as of one moment: every worker shows the same, so scrape one, or take the `max()` of several.
[How to watch it](../how-to/watch-it.md) says more.

No label names what people make: the number of series does not depend on what they do. A counter never goes back,
whatever is deleted from the ledger; it counts from the moment at which its tables were made.
"""
HISTOGRAMS = f"""
A histogram has `_bucket` (with the label `le`), `_sum` and `_count`. All have the same bounds, in seconds:
{", ".join(f"{bound:g}" for bound in BOUNDS)}.
"""


def page() -> str:
    rows = [
        [code(metric.full_name), metric.type, ", ".join(map(code, metric.labels)), metric.about] for metric in METRICS
    ]
    return document("Metrics", ABOUT, table("metric", "type", "labels", "what it says", rows=rows), HISTOGRAMS)
