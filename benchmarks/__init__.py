"""`python -m benchmarks`: how fast releases and rollbacks are, beside what the machine allows and what others need."""
