"""What only reads. Nothing here takes a lock or writes a row."""
