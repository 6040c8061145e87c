"""What is counted for metrics: triggers add a row for each request or attempt that ends, and a chore adds them up."""

from sqlalchemy import ARRAY, BigInteger, Column, Double, Identity, Numeric, Table, Text, text

from release_worker.store.tables.columns import json_column, metadata, text_column

# A row lives until it is added to the totals.
release_measurements = Table(
    "release_measurements",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    text_column("kind"),
    # What to add one to: `requests:failed`, a name and a label.
    Column("counted", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    # What was measured, by name.
    json_column("seconds"),
)

# Never more rows than there are names, kinds of requests, labels and bounds.
release_totals = Table(
    "release_totals",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    # Of a duration: the smallest bound that it does not exceed. Infinity for what is only counted, too.
    Column("bound", Double, primary_key=True),
    Column("total", BigInteger, nullable=False),
    # Exact decimals: sums in another order must not differ, or a total could go back.
    Column("seconds", Numeric, nullable=False),
)
