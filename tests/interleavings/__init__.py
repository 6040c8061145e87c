"""Each pair of transactions, the first stopped at each of its statements: one order or the other comes of it."""
