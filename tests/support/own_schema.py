"""A database whose `public` is somebody else's, with tables and functions of our names, and ours in another schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from sqlalchemy import Engine, create_engine

from release_worker.domain.database import Database
from release_worker.operations.schema import upgrade_schema
from release_worker.store.engine import make_engine
from release_worker.testing import Servers
from release_worker.testing.running.databases import EMPTY

SCHEMA = "Rel eases"

# Of other shapes: whoever takes one of these for ours fails at once, or leaves a trace.
THEIRS = """
    CREATE TABLE public.organizations (number int PRIMARY KEY, slug text);
    CREATE TABLE public.projects (number int PRIMARY KEY, organization_id text);
    CREATE TABLE public.toolsets (number int PRIMARY KEY, id text);
    CREATE TABLE public.deployments (number int PRIMARY KEY, status int);
    CREATE TYPE public.toolset_releases AS ENUM ('no', 'table');
    INSERT INTO public.organizations VALUES (1, 'acme');
    CREATE FUNCTION public.theirs() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'not the function that was meant'; END $$;
    CREATE FUNCTION public.release_worker_uuid7() RETURNS uuid LANGUAGE sql AS
        $$ SELECT NULL::uuid FROM public.theirs() $$;
    CREATE FUNCTION public.release_worker_without_zeros(text) RETURNS text LANGUAGE sql AS
        $$ SELECT NULL::text FROM public.theirs() $$;
    CREATE FUNCTION public.release_worker_digest(jsonb) RETURNS text LANGUAGE sql AS
        $$ SELECT NULL::text FROM public.theirs() $$;
    CREATE FUNCTION public.release_worker_is_open(uuid) RETURNS boolean LANGUAGE sql AS
        $$ SELECT NULL::boolean FROM public.theirs() $$;
"""


@dataclass(frozen=True)
class Shared:
    """`engine` is the product's, whose sessions search `public`. `inside` searches our schema, as helpers of tests need
    it, and `outside` nothing: neither has anything of ours."""

    database: Database
    engine: Engine
    inside: Engine
    outside: Engine

    def connect(self, *, user: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """A plain connection that searches `public`."""
        return psycopg.connect(self.database.url.replace("+psycopg", "").replace("postgres@", f"{user}@"))


@contextmanager
def shared_database(servers: Servers) -> Iterator[Shared]:
    """Migrated."""
    with servers.databases.temporary(template=EMPTY) as url:
        database = Database(url, SCHEMA)
        with psycopg.connect(url.replace("+psycopg", "")) as theirs:
            theirs.execute(THEIRS)
        upgrade_schema(database)
        engine = make_engine(database, pool_size=20)
        inside = create_engine(url, connect_args={"options": '-c search_path="Rel\\ eases"'})
        outside = create_engine(url, connect_args={"options": "-c search_path=nowhere"})
        yield Shared(database, engine, inside, outside)
        for one in (engine, inside, outside):
            one.dispose()
