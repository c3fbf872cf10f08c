"""kafka.lock and the cache: what is not pinned is never put on a class path."""

import hashlib
from pathlib import Path

import pytest
import requests

from stack import jars
from stack.errors import JarMismatch, JarsUnreachable
from stack.jars import Jar

GOOD = b"the bytes that were pinned"
JAR = Jar("org.example", "part", "1.0", hashlib.sha256(GOOD).hexdigest())


def silent(text: str) -> None:
    """Say nothing."""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What a repository serves, by coordinate, in place of one over a network."""
    contents = {JAR.coordinate: GOOD}

    def download(coordinate: str, scratch: Path) -> Path:
        path = scratch / "downloaded.jar"
        path.write_bytes(contents[coordinate])
        return path

    monkeypatch.setattr(jars, "_download", download)
    return contents


def test_a_missing_jar_is_fetched_once(served: dict[str, bytes], tmp_path: Path) -> None:
    (path,) = jars.ensure([JAR], tmp_path, silent)
    assert path.read_bytes() == GOOD
    served.clear()
    assert jars.ensure([JAR], tmp_path, silent) == [path]


def test_a_tampered_jar_in_the_cache_is_refused(served: dict[str, bytes], tmp_path: Path) -> None:
    (path,) = jars.ensure([JAR], tmp_path, silent)
    path.write_bytes(GOOD + b"!")
    with pytest.raises(JarMismatch) as caught:
        jars.ensure([JAR], tmp_path, silent)
    assert caught.value.code == "stack_jar_mismatch"
    assert JAR.sha256 in caught.value.expected
    assert str(path) in caught.value.next_step


def test_a_jar_served_with_other_bytes_never_reaches_the_cache(served: dict[str, bytes], tmp_path: Path) -> None:
    served[JAR.coordinate] = b"other bytes"
    with pytest.raises(JarMismatch):
        jars.ensure([JAR], tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_repository_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(JarsUnreachable) as caught:
        jars.ensure([JAR], tmp_path, silent)
    assert caught.value.retry
    assert "PASSGATE_KAFKA_HOME" in caught.value.next_step


@pytest.mark.parametrize(
    ("given", "trusted"),
    [
        ({"SSL_CERT_FILE": "/a.pem"}, "/a.pem"),
        ({"SSL_CERT_FILE": "/a.pem", "REQUESTS_CA_BUNDLE": "/b.pem"}, "/b.pem"),
        ({"SSL_CERT_FILE": "/a.pem", "CURL_CA_BUNDLE": "/c.pem"}, "/c.pem"),
    ],
)
def test_whom_python_trusts_the_jars_are_fetched_from(
    given: dict[str, str], trusted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Behind a proxy with a certificate of its own: pip reads SSL_CERT_FILE, and so installed what fetches the jars."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(JarsUnreachable):
        jars._download(JAR.coordinate, tmp_path)
    asked = requests.Session().merge_environment_settings("https://127.0.0.1/", {}, None, None, None)
    assert asked["verify"] == trusted


def test_the_lock_pins_the_broker_and_everything_by_digest() -> None:
    pinned = jars.read_lock(jars.lock_file())
    assert "org.apache.kafka:kafka_2.13:4.4.0" in {jar.coordinate for jar in pinned}
    assert set(jars.WANTED) <= {jar.coordinate for jar in pinned}
    assert all(len(jar.sha256) == 64 for jar in pinned)
    assert len({(jar.group, jar.artifact) for jar in pinned}) == len(pinned)


def test_a_written_lock_reads_back(tmp_path: Path) -> None:
    pinned = jars.read_lock(jars.lock_file())
    jars.write_lock(pinned, tmp_path / "kafka.lock")
    assert (tmp_path / "kafka.lock").read_text() == jars.lock_file().read_text()
