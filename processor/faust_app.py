"""Configuration of Faust: its options, and the settings of the broker's security."""

from typing import Final

import faust
from faust.auth import SASLCredentials, SSLCredentials

from runtime.settings import KafkaSettings, Settings

# of one partition: one that is far behind, beside others at their ends, gets a fetch each time that these have waited
_FETCH_BYTES: Final = 4_194_304
_PREFETCH_EVENTS: Final = 4  # an event is a whole fetch: this bounds memory and is the back-pressure


def make_app(settings: Settings, *, datadir: str) -> faust.App:
    """Return a Faust app for these settings; `datadir` is a folder it may write to."""
    kafka, processor = settings.kafka, settings.processor
    return faust.App(
        kafka.group,
        broker=[f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")],
        broker_credentials=_credentials(kafka),
        store="memory://",
        datadir=datadir,
        autodiscover=False,
        topic_partitions=kafka.partitions,
        topic_replication_factor=kafka.replication_factor,
        table_standby_replicas=0,
        stream_buffer_maxsize=_PREFETCH_EVENTS,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_FETCH_BYTES,
        producer_max_request_size=kafka.max_message_bytes,
        broker_commit_interval=min(1.0, processor.checkpoint_seconds),
        broker_session_timeout=kafka.session_seconds,
        broker_heartbeat_interval=1.0,
        broker_rebalance_timeout=6.0,
        broker_request_timeout=max(30.0, kafka.session_seconds + 5.0),  # Faust refuses a session that is longer
        consumer_group_instance_id=kafka.group_instance_id,
        web_bind=processor.web_host,
        web_host=processor.web_host,
        web_port=processor.web_port,
    )


def _credentials(kafka: KafkaSettings) -> SASLCredentials | SSLCredentials | None:
    if kafka.security_protocol == "PLAINTEXT":
        return None
    from aiokafka.helpers import create_ssl_context  # noqa: PLC0415  only where TLS is asked for

    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = create_ssl_context(
            cafile=kafka.ssl_ca_file and str(kafka.ssl_ca_file),
            certfile=kafka.ssl_certificate_file and str(kafka.ssl_certificate_file),
            keyfile=kafka.ssl_key_file and str(kafka.ssl_key_file),
            password=kafka.ssl_key_password and kafka.ssl_key_password.get_secret_value(),
        )
    if kafka.security_protocol == "SSL":
        return SSLCredentials(context=context)
    return SASLCredentials(
        mechanism=kafka.sasl_mechanism,
        username=kafka.sasl_username,
        password=None if kafka.sasl_password is None else kafka.sasl_password.get_secret_value(),
        ssl_context=context,
    )
