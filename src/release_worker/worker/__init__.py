from release_worker.extras import require

require("worker", "a worker")
