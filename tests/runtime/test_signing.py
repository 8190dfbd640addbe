"""Signed manifests: who signed what, in a folder and in a bucket, and what an attacker can do to them."""

import base64
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import SettingsError, UsageError
from runtime.models.repository import SIGNATURES, ModelDamaged, ModelRepository, ModelUntrusted
from runtime.models.signing import MOST_SIGNERS, SigningKey, Trust, with_signature
from runtime.settings import load_settings
from tests.runtime.test_repository import FILES, START, a_manifest

VERSION = "20260301T120000Z"


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.create(tmp_path / "ours.pem")


@pytest.fixture
def stranger(tmp_path: Path) -> SigningKey:
    return SigningKey.create(tmp_path / "theirs.pem")


@pytest.fixture(params=["folder", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "models")
        return
    yield f"memory://{tmp_path}"
    fsspec.filesystem("memory").store.clear()


def change(root: str, file: str, content: bytes) -> None:
    fs, base = fsspec.core.url_to_fs(root)
    fs.pipe_file(f"{base}/anomaly/{VERSION}/{file}", content)


def content_of(root: str, file: str) -> bytes:
    fs, base = fsspec.core.url_to_fs(root)
    return bytes(fs.cat_file(f"{base}/anomaly/{VERSION}/{file}"))


def trusting(root: str, *keys: SigningKey) -> ModelRepository:
    return ModelRepository(root, trust=Trust.parse(",".join(key.public for key in keys)))


def test_a_version_that_was_signed_when_published_is_loaded(root: str, key: SigningKey) -> None:
    ModelRepository(root, signer=key).publish(a_manifest(), FILES)

    assert dict(trusting(root, key).load("anomaly", VERSION).files) == FILES


def test_an_unsigned_version_is_refused_until_it_is_signed(root: str, key: SigningKey) -> None:
    ModelRepository(root).publish(a_manifest(), FILES)
    repository = trusting(root, key)

    with pytest.raises(ModelUntrusted, match=f"sign it with nexova models sign anomaly {VERSION} --key FILE"):
        repository.promote("anomaly", VERSION, at=START, reason="test")
    repository.sign("anomaly", VERSION, key)

    assert repository.promote("anomaly", VERSION, at=START, reason="test").version == VERSION


def test_without_a_trust_list_signatures_are_not_asked_for(root: str) -> None:
    ModelRepository(root).publish(a_manifest(), FILES)

    assert ModelRepository(root).load("anomaly", VERSION).manifest.version == VERSION


def test_the_signature_of_a_key_that_is_not_trusted_is_none(root: str, key: SigningKey, stranger: SigningKey) -> None:
    ModelRepository(root, signer=stranger).publish(a_manifest(), FILES)

    with pytest.raises(ModelUntrusted):
        trusting(root, key).load("anomaly", VERSION)


def test_a_changed_manifest_is_refused_though_its_digests_fit(root: str, key: SigningKey) -> None:
    ModelRepository(root, signer=key).publish(a_manifest(), FILES)
    document = content_of(root, "manifest.json")
    change(root, "manifest.json", document.replace(b'"rows_used": 12345', b'"rows_used": 99999'))

    ModelRepository(root).load("anomaly", VERSION)
    with pytest.raises(ModelUntrusted):
        trusting(root, key).load("anomaly", VERSION)


def test_a_changed_model_file_is_damaged_though_the_manifest_is_signed(root: str, key: SigningKey) -> None:
    ModelRepository(root, signer=key).publish(a_manifest(), FILES)
    change(root, "model.onnx", b"other trees")

    with pytest.raises(ModelDamaged, match=r"model\.onnx"):
        trusting(root, key).load("anomaly", VERSION)


def test_a_damaged_version_cannot_be_signed(root: str, key: SigningKey) -> None:
    ModelRepository(root).publish(a_manifest(), FILES)
    change(root, "model.onnx", b"other trees")

    with pytest.raises(ModelDamaged):
        ModelRepository(root).sign("anomaly", VERSION, key)


def test_a_version_signed_by_two_is_trusted_while_a_key_is_replaced(
    root: str, key: SigningKey, stranger: SigningKey
) -> None:
    repository = ModelRepository(root, signer=stranger)
    repository.publish(a_manifest(), FILES)
    repository.sign("anomaly", VERSION, key)
    repository.sign("anomaly", VERSION, key)

    assert len(content_of(root, SIGNATURES).splitlines()) == 2
    trusting(root, key).load("anomaly", VERSION)
    trusting(root, stranger).load("anomaly", VERSION)


@given(st.binary(max_size=300), st.integers(0, 10_000))
def test_no_garbage_is_a_signature(garbage: bytes, place: int) -> None:
    trust = Trust.parse(base64.b64encode(bytes(range(32))).decode())
    name = base64.b64encode(bytes(range(32)))
    cut = place % (len(garbage) + 1)

    assert trust.signer(b"manifest", garbage) is None
    assert trust.signer(b"manifest", garbage[:cut] + b"\n" + name + b" " + garbage[cut:]) is None


def test_lines_of_a_signature_file_are_bounded(key: SigningKey) -> None:
    lines = [f"key{number} signature" for number in range(1000)]

    assert len(with_signature(lines, key.sign(b"manifest")).splitlines()) == MOST_SIGNERS


def test_a_private_key_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    made = SigningKey.create(file)

    assert file.stat().st_mode & 0o777 == 0o600
    assert SigningKey.read(file).public == made.public
    assert "PRIVATE" not in repr(made)
    with pytest.raises(UsageError, match="never overwritten"):
        SigningKey.create(file)


def other_key() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "no PEM file"), (bytes(range(64)), "no PEM file"), (other_key(), "not of Ed25519")],
    ids=["empty", "bytes", "another kind of key"],
)
def test_what_is_no_signing_key_is_refused_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(content)

    with pytest.raises(UsageError, match=f"{why}.*nexova models keygen") as refused:
        SigningKey.read(file)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("text", ["abc", "AAAA", "?" * 44, ",", "é"])
def test_a_trust_list_that_is_none_is_a_wrong_setting(text: str) -> None:
    with pytest.raises(SettingsError, match="NEXOVA_MODELS__TRUSTED_KEYS"):
        load_settings(_env_file=None, models={"trusted_keys": text})
