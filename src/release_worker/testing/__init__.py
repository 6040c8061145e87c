"""What plug-ins are tested with, in any test framework.

from release_worker.testing import exercise_component
"""

from release_worker.testing.conformance import exercise_component
from release_worker.testing.estate import Edit, Owner

__all__ = ["Edit", "Owner", "exercise_component"]
