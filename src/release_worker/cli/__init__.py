from release_worker.extras import require

require("worker", "the command line")
