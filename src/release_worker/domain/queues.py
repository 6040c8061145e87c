"""The queues, by name."""

from typing import Literal

# In the order in which a worker looks at them.
Queue = Literal["rollbacks", "releases", "maintenance"]
