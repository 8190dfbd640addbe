"""Settings of the sources: the schema registry and the MQTT broker."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runtime.setting_types import OptionalPath, OptionalSecret, OptionalText


class RegistrySettings(BaseModel):
    """Where schemas are, of sources with format = "registry"."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    url: OptionalText = Field(None, description="URL of the schema registry, as https://registry:8081.")
    username: OptionalText = Field(None, description="User name at the registry; empty: none is sent.")
    password: OptionalSecret = Field(None, description="Password at the registry. Never logged.")
    ca_file: OptionalPath = Field(None, description="PEM file of trusted certificate authorities; empty: the system's.")


class MqttSettings(BaseModel):
    """The MQTT broker of `nexova bridge mqtt`, and its pages' port."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    host: str = Field("127.0.0.1", min_length=1, description="Host of the MQTT broker.")
    port: int = Field(1883, ge=1, le=65_535, description="Port of the MQTT broker; 8883 is usual with TLS.")
    client_id: str = Field(
        "nexova-bridge",
        min_length=1,
        max_length=128,
        description="Client id at the MQTT broker, which keeps messages for it while the bridge is down; unique.",
    )
    username: OptionalText = Field(None, description="User name at the MQTT broker; empty: none is sent.")
    password: OptionalSecret = Field(None, description="Password at the MQTT broker. Never logged.")
    tls: bool = Field(default=False, description="Encrypt the connection to the MQTT broker.")
    ca_file: OptionalPath = Field(None, description="PEM file of trusted certificate authorities; empty: the system's.")
    certificate_file: OptionalPath = Field(None, description="PEM file of the client certificate, for mutual TLS.")
    key_file: OptionalPath = Field(None, description="PEM file of the client's private key, for mutual TLS.")

    @model_validator(mode="after")
    def _files_fit(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together; give both or neither")
        if not self.tls and (self.ca_file or self.certificate_file):
            raise ValueError("ca_file or certificate_file is given without tls; set tls to true, or remove them")
        return self
