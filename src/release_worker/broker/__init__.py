"""Everything about the broker: how a request is addressed and published, and kombu's Redis transport with its mends.

A mend changes what kombu 5.7 or Celery 5.7 does wrong. Each says in its docstring what goes wrong without it, and when
it can be removed.
"""
