"""A real Kafka with TLS, SASL, client certificates and an authorizer, for tests of rights and of refusals.

Certificates are made for the test. Its plain listener is for the test itself, whose user may do everything; users of
processes are `nexova-<process>` (SASL, password `<process>-secret`) and `CN=nexova-<process>` (client certificate).
"""

import datetime as dt
import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AclBinding, AdminClient
from confluent_kafka.admin._acl import AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.apache_kafka import apache_kafka
from runtime.children import free_port
from runtime.kafka import client_config
from runtime.rights import RIGHTS, Acl
from runtime.settings import KafkaSettings
from tests.brokers import Broker, unavailable, why_java_cannot

_DAY = dt.timedelta(days=1)
_KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactionalId": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
}


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate authority of its own that writes PEM files into a folder."""

    folder: Path
    key: EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, folder: Path, name: str = "authority") -> "Authority":
        """Make an authority; its certificate is in `<name>.pem`."""
        key, subject = generate_private_key(SECP256R1()), _name(name)
        certificate = (
            _builder(subject, subject, key, days=2)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(folder=folder, key=key, certificate=certificate)

    def issue(self, name: str, *, days: float = 2) -> Path:
        """Write `<name>.pem` (certificate) and `<name>.key`, valid for 127.0.0.1; negative days: expired."""
        key = generate_private_key(SECP256R1())
        certificate = (
            _builder(_name(name), self.certificate.subject, key, days=days)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)  # noqa: FBT003
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                False,  # noqa: FBT003
            )
            .sign(self.key, hashes.SHA256())
        )
        file = self.folder / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
        file.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return file


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, *, days: float
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 10 * _DAY)
        .not_valid_after(now + days * _DAY)
    )


@dataclass(frozen=True, kw_only=True)
class SecuredKafka:
    """The running broker: `open` is the listener of the test, the others those of processes."""

    open: Broker
    sasl_servers: str
    tls_servers: str
    folder: Path
    authority: Authority
    admin: AdminClient  # held here, as answers die with the client that was asked

    def sasl(self, process: str, **changes: str) -> dict[str, str]:
        """Environment of a process that shows its password over TLS."""
        return {
            "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": self.sasl_servers,
            "NEXOVA_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "NEXOVA_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
            "NEXOVA_KAFKA__SASL_USERNAME": f"nexova-{process}",
            "NEXOVA_KAFKA__SASL_PASSWORD": f"{process}-secret",
            "NEXOVA_KAFKA__SSL_CA_FILE": str(self.folder / "authority.pem"),
            "MAX_RETRIES": "3",
        } | changes

    def mutual_tls(self, process: str, **changes: str) -> dict[str, str]:
        """Environment of a process that shows a certificate of its own."""
        return {
            "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": self.tls_servers,
            "NEXOVA_KAFKA__SECURITY_PROTOCOL": "SSL",
            "NEXOVA_KAFKA__SSL_CA_FILE": str(self.folder / "authority.pem"),
            "NEXOVA_KAFKA__SSL_CERTIFICATE_FILE": str(self.folder / f"nexova-{process}.pem"),
            "NEXOVA_KAFKA__SSL_KEY_FILE": str(self.folder / f"nexova-{process}.key"),
            "MAX_RETRIES": "3",
        } | changes

    def grant(self, principal: str, acls: list[Acl]) -> None:
        """Give rights to a user, such as "User:nexova-api"."""
        bindings = [binding for one in acls for binding in _bindings(principal, one)]
        for created in self.admin.create_acls(bindings).values():
            created.result(30)

    def take_away(self, principal: str, kind: str, name: str, operation: str | None = None) -> None:
        """Take the rights on a resource from a user; operation: only this one."""
        found = AclBindingFilter(
            _KINDS[kind], name, ResourcePatternType.ANY, principal, "*",
            AclOperation.ANY if operation is None else _OPERATIONS[operation], AclPermissionType.ANY,
        )  # fmt: skip
        (deleted,) = self.admin.delete_acls([found]).values()
        assert deleted.result(30), f"{principal} had no such right on {name}"


def _bindings(principal: str, one: Acl) -> Iterator[AclBinding]:
    pattern = ResourcePatternType.PREFIXED if one.prefixed else ResourcePatternType.LITERAL
    for operation in one.operations:
        yield AclBinding(
            _KINDS[one.kind], one.name, pattern, principal, "*", _OPERATIONS[operation], AclPermissionType.ALLOW
        )


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Run the broker with its users, none of whom has a right yet; needs Java, Docker does not do."""
    reason = why_java_cannot()
    if reason is not None:
        unavailable(f"no Kafka with TLS: {reason}")
    authority = Authority.create(folder)
    server = authority.issue("server")
    keystore = folder / "keystore.pem"
    keystore.write_bytes(server.with_suffix(".key").read_bytes() + server.read_bytes())
    for process in RIGHTS:
        authority.issue(f"nexova-{process}")
    sasl, tls = free_port(), free_port()
    properties: Mapping[str, str] = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "authority.pem"),
    }
    with apache_kafka(properties=properties, secured={"SASL_SSL": sasl, "SSL": tls}, heap="512m") as broker:
        found = SecuredKafka(
            open=Broker(kind="apache", bootstrap_servers=broker.bootstrap_servers, pid=broker.pid),
            sasl_servers=f"127.0.0.1:{sasl}",
            tls_servers=f"127.0.0.1:{tls}",
            folder=folder,
            authority=authority,
            admin=AdminClient(client_config(KafkaSettings(bootstrap_servers=broker.bootstrap_servers))),
        )
        mechanism = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        changes: list[Any] = [
            UserScramCredentialUpsertion(f"nexova-{process}", mechanism, f"{process}-secret".encode())
            for process in RIGHTS
        ]
        for changed in found.admin.alter_user_scram_credentials(changes).values():
            changed.result(30)
        yield found
