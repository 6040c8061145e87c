"""Traces: where the time of a request goes, from its caller through the queue to each step and statement.

- `tracing`: what the other packages say, and what it costs without OpenTelemetry: nothing.
- `variables`: what the environment asks for.
- `choosing`: whether there is OpenTelemetry, in a worker and in a caller's process.
- `spans`: OpenTelemetry's spans. `statements`: those of SQL. `exporting`: where a worker sends them.

The last three alone import OpenTelemetry, and only `choosing` imports them, if there are traces.
"""
