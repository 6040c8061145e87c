"""Real servers and a real worker, for the tests of apps and for ours."""

from release_worker.extras import require

require("worker", "release_worker.testing.running")
