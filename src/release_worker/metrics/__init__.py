"""What Prometheus is shown: names, values read from PostgreSQL, text, and a port for it."""
