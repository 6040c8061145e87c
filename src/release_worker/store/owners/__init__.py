"""Toolsets, projects and organizations: where they are found, named, held and pointed at. Nothing else of the
worker names their tables, but for the component `settings`, whose content is in a toolset's own row, and the schema.

To release toolsets that live in another schema, provide what these five modules do from it:

- `relations`: SQL for an owner's row, for a toolset joined with its owners, for its path, and for what the owners point
  at: a toolset's current release, a project's active deployment. An id of each owner is a UUID and never changes.
- `naming`: SQL for the toolset that a name means, a path or an id, and for the organization that a caller means.
- `listing`: all live toolsets of a project or an organization.
- `holding`: row locks, in three strengths: against every operation on the toolset (`hold_toolset`), against writers of
  what it owns too (`hold_owners`), and for an app that edits (`hold_for_editing`). `FOR SHARE` and `FOR UPDATE` of an
  owner's row must exclude each other, and a foreign key to that row must need `FOR KEY SHARE` of it.
- `pointing`: writing the two pointers.
- `staging`: a toolset's staged copy, made, found and deleted, and its editing mode.

Also needed: foreign keys of the release records to the three (`store/tables/records.py`, a migration), `settings` in
`state`, and toolsets to exercise components on (`testing/estate.py`).
"""
