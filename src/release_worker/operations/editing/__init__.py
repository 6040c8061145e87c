"""Edits of live state that need no worker: one transaction each, in order with all operations."""
