"""What writes: each operation in plain steps, in its caller's transaction. What only reads is in `queries`."""

from release_worker.extras import require

require("database", "whatever uses the database")
