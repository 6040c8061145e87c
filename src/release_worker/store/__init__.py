from release_worker.extras import require

require("database", "whatever uses the database")
