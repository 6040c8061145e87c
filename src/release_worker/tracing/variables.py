"""OpenTelemetry's own variables, as far as they say whether there are traces; its SDK reads the others.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/"""

from pydantic_settings import BaseSettings, SettingsConfigDict


class OpenTelemetryVariables(BaseSettings):
    """`OTEL_…` variables of this process's environment."""

    model_config = SettingsConfigDict(
        env_prefix="OTEL_", frozen=True, env_ignore_empty=True, extra="ignore", str_strip_whitespace=True
    )

    traces_exporter: str = ""
    sdk_disabled: str = ""
    exporter_otlp_endpoint: str = ""
    exporter_otlp_traces_endpoint: str = ""
    exporter_otlp_protocol: str = ""
    exporter_otlp_traces_protocol: str = ""

    @property
    def exporter(self) -> str | None:
        """The exporter that is asked for, by its name in OpenTelemetry's registry; None if there are to be no
        traces."""
        asked = self.traces_exporter
        if not asked and (self.exporter_otlp_traces_endpoint or self.exporter_otlp_endpoint):
            asked = "otlp"
        if asked in ("", "none") or self.sdk_disabled.lower() == "true":
            return None
        if asked == "otlp":
            protocol = self.exporter_otlp_traces_protocol or self.exporter_otlp_protocol
            return "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
        return asked
