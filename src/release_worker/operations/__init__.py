"""What writes: each operation in plain steps, in its caller's transaction. What only reads is in `queries`."""
