"""Passgate's own processes: the web server, the Celery workers of the three queues, and beat."""

import http.client
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import ClassVar

from stack.part import Part
from stack.place import PROJECT
from stack.process import Command, Process

Environment = Callable[[], Mapping[str, str]]

OF_ONE = frozenset(
    {
        *("PASSGATE_OWNER_URL", "PASSGATE_AUDITOR_URL", "PASSGATE_READER_URL", "PASSGATE_ADMIN_URL"),
        *("PASSGATE_SECRET_KEY", "PGPASSWORD", "PGPASSFILE"),
    }
)
"""What only the process that needs it gets: whoever reads the memory of another one gains no more than that one may."""


def django_environment(stack: Mapping[str, str], needs: Collection[str] = ()) -> dict[str, str]:
    """The environment of a Django process of this stack: ours, with this stack's settings in place of any other's.

    Of the logins it has the application's alone, and those it `needs` by name.
    """
    path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    kept = {name: value for name, value in {**os.environ, **stack}.items() if name not in OF_ONE or name in needs}
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": "console.settings",
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
    }


class Service(Part):
    """A process that runs this project's code with the stack's settings."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """Of the settings that not everybody gets: see OF_ONE."""
    vital = False

    def __init__(self, data: Path, environment: Environment) -> None:
        super().__init__(data)
        self._environment = environment

    def arguments(self) -> tuple[str, ...]:
        """What follows `python -m`."""
        raise NotImplementedError

    def command(self) -> Command:
        """The module, run by this Python."""
        return Command(
            (sys.executable, "-m", *self.arguments()), django_environment(self._environment(), self.needs), PROJECT
        )


class Web(Service):
    """The console and the API."""

    name = "web"
    needs = frozenset({"PASSGATE_SECRET_KEY"})
    port_names = ("web",)

    def arguments(self) -> tuple[str, ...]:
        """How many processes and threads is said in console.gunicorn."""
        return (
            "gunicorn", "-c", "python:console.gunicorn", "--bind", f"127.0.0.1:{self.port}",
            "--graceful-timeout", "5", "--timeout", "60", "--no-control-socket",
        )  # fmt: skip

    def is_ready(self, process: Process) -> bool:
        """Whether a request is answered, with whatever status: gunicorn binds before its workers have loaded the
        application. Its own word that it listens comes first, since another program may have taken the port.
        """
        if "Listening at" not in process.new_log():
            return False
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("HEAD", "/")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    def env(self) -> dict[str, str]:
        """Where a browser goes."""
        return {"PASSGATE_URL": f"http://127.0.0.1:{self.port}"}


class Worker(Service):
    """A Celery worker on one queue. A slice that outlasts its patience is cut off: slices are safe to cut."""

    queue: ClassVar[str]
    concurrency: ClassVar[int] = 1
    stop_steps: ClassVar[tuple[tuple[int, float], ...]] = ((signal.SIGTERM, 5.0), (signal.SIGQUIT, 3.0))

    def arguments(self) -> tuple[str, ...]:
        return (
            "celery", "-A", "console.celery", "worker", "-Q", self.queue, "--concurrency", str(self.concurrency),
            "-n", f"{self.queue}@%h", "--loglevel", "INFO", "--without-gossip", "--without-mingle",
        )  # fmt: skip

    def is_ready(self, process: Process) -> bool:
        """Celery's own word for it."""
        return " ready." in process.new_log()


class Lanes(Worker):
    """Slices of lane work."""

    name = "lanes"
    queue = "lanes"
    concurrency = 2


class Control(Worker):
    """Cut, close, plans: never behind lane work."""

    name = "control"
    concurrency = 2  # a verdict over millions of receipts does not hold up another's
    queue = "control"


class Watch(Worker):
    """Sampling, dispatching, enforcing: what gates and lanes live by, never behind a verdict."""

    name = "watch"
    concurrency = 2  # a broker that does not answer holds up sampling, and not the dispatcher
    queue = "watch"


class Beat(Service):
    """The clock of periodic work."""

    name = "beat"

    def arguments(self) -> tuple[str, ...]:
        schedule = self.data / "beat" / "schedule"
        schedule.parent.mkdir(parents=True, exist_ok=True)
        return ("celery", "-A", "console.celery", "beat", "--loglevel", "INFO", "--pidfile=", "-s", str(schedule))

    def is_ready(self, process: Process) -> bool:
        """It says nothing at level INFO: what has run for a second has read its schedule."""
        return time.time() - process.began > 1.0
