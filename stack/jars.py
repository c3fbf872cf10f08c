"""Apache Kafka's jars: resolved once by jgo into kafka.lock, fetched into a cache that all clones of a user share, and
checked.

kafka.lock has one line a jar: `group:artifact:version sha256`. A jar is put on a class path only if its bytes have
that digest. Run `python -m stack.jars` to write the lock anew after changing WANTED.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stack.errors import JarMismatch, JarsUnreachable
from stack.place import PROJECT, cache_root

if TYPE_CHECKING:
    from jgo.maven import MavenContext

WANTED = ("org.apache.kafka:kafka_2.13:4.4.0", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5")
"""The broker, and the SLF4J binding for the slf4j-api 1.7 and log4j-core 2.25.5 that it brings."""
HEADER = "# Apache Kafka's jars and their SHA-256, written by `python -m stack.jars`.\n"


@dataclass(frozen=True)
class Jar:
    """One pinned jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file(self) -> str:
        """Its name in the cache; the digest is part of it, so two locks never disagree about one file."""
        return f"{self.artifact}-{self.version}.{self.sha256[:12]}.jar"


def lock_file() -> Path:
    """kafka.lock: at the top of a clone, inside this package when installed."""
    inside = Path(__file__).with_name("kafka.lock")
    return inside if inside.exists() else PROJECT / "kafka.lock"


def cache() -> Path:
    """Where jars are kept."""
    return cache_root() / "jars"


def read_lock(path: Path) -> list[Jar]:
    """The jars of a lock file, in class path order."""
    return [_jar(line) for line in path.read_text().splitlines() if line and not line.startswith("#")]


def _jar(line: str) -> Jar:
    coordinate, sha256 = line.split()
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, sha256)


def ensure(jars: list[Jar], folder: Path, say: Callable[[str], None]) -> list[Path]:
    """The paths of all jars, after fetching those that are missing and checking every one.

    Raises:
        JarMismatch: a jar's bytes are not the pinned ones.
        JarsUnreachable: a jar could not be fetched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [jar for jar in jars if not (folder / jar.file).exists()]
    if missing:
        say(f"kafka: fetching {len(missing)} jars of Apache Kafka")
        with ThreadPoolExecutor(4) as pool:
            for count, _ in enumerate(pool.map(lambda jar: _fetch(jar, folder), missing), start=1):
                if count % 15 == 0:
                    say(f"kafka: {count} of {len(missing)} jars")
    for jar in jars:
        _check(jar, folder / jar.file)
    return [folder / jar.file for jar in jars]


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(jar: Jar, path: Path) -> None:
    found = digest(path)
    if found != jar.sha256:
        raise JarMismatch(
            expected=f"{jar.coordinate} with sha256 {jar.sha256}",
            found=f"sha256 {found} in {path}",
            next_step=f"find out who changed it; remove {path} to fetch it again",
        )


def _fetch(jar: Jar, folder: Path) -> None:
    """Fetch into a folder of our own, check, then rename: whoever reads the cache sees a whole jar or none."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        path = _download(jar.coordinate, Path(scratch))
        _check(jar, path)
        os.replace(path, folder / jar.file)


def _download(coordinate: str, scratch: Path) -> Path:
    try:
        return _maven(scratch, timeout=60).create_dependency(coordinate).artifact.resolve()
    except (OSError, RuntimeError) as error:
        raise JarsUnreachable(
            expected=coordinate,
            found=str(error),
            next_step="try again, or name an existing Kafka with PASSGATE_KAFKA_HOME or KAFKA_BOOTSTRAP_SERVERS",
        ) from error


def _maven(scratch: Path, timeout: int = 10) -> "MavenContext":
    """Maven's repository, asked with whom Python, pip and OpenSSL trust: requests reads two names of its own alone."""
    from jgo.maven import MavenContext

    trusted = os.environ.get("SSL_CERT_FILE")
    if trusted and "CURL_CA_BUNDLE" not in os.environ:
        os.environ.setdefault("REQUESTS_CA_BUNDLE", trusted)
    return MavenContext(repo_cache=scratch, timeout=timeout)


def resolve() -> list[Jar]:
    """Resolve WANTED with everything it needs at run time, and digest what Maven's repository serves."""
    scratch = Path(tempfile.mkdtemp(prefix="passgate-jars-"))
    try:
        context = _maven(scratch)
        broker, binding = (context.create_dependency(name) for name in WANTED)
        binding.raw = True  # Else its bill of materials would downgrade what Kafka was tested with.
        inputs, further = context.resolver.resolve([broker, binding])
        found = inputs + [item for item in further if item.scope in ("compile", "runtime")]
        return [
            Jar(item.groupId, item.artifactId, item.version, digest(item.artifact.resolve()))
            for item in sorted(found, key=lambda item: (item.groupId, item.artifactId))
        ]
    finally:
        shutil.rmtree(scratch)


def write_lock(jars: list[Jar], path: Path) -> None:
    """Write kafka.lock."""
    path.write_text(HEADER + "".join(f"{jar.coordinate} {jar.sha256}\n" for jar in jars))


if __name__ == "__main__":
    write_lock(resolve(), PROJECT / "kafka.lock")
