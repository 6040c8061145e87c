"""What can be asked of a worker, one file a kind: its fields, its result, its queue, and what its task says of itself.

A request is checked here once, wherever it comes from: the client before it is sent, the worker when it arrives. The
operation that carries a kind out has the same name in `release_worker.operations`.
"""
