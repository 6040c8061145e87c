"""What only reads. Nothing here takes a lock or writes a row."""

from release_worker.extras import require

require("database", "whatever uses the database")
