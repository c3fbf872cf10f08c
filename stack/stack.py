"""The embedded stack: its parts started, watched, started again within a limit, and stopped in order; usable in
process.

with Stack(Path("data"), parts=("postgres", "kafka", "valkey"), progress=print) as stack:
    os.environ.update(stack.env())
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from stack import record
from stack.errors import (
    DataFolderBusy,
    DataFolderForeign,
    NoFreePort,
    PartFailed,
    PartNotReady,
    StackError,
    UnknownPart,
)
from stack.kafka import Kafka
from stack.part import Part
from stack.place import PROJECT
from stack.ports import free_port
from stack.postgres import Postgres
from stack.process import Guard, Process, bound_log, start
from stack.run import Run, State
from stack.secrets import Secrets
from stack.services import Beat, Control, Lanes, Watch, Web, django_environment
from stack.valkey import Valkey

STORES = ("postgres", "kafka", "valkey")
SERVICES = ("web", "lanes", "control", "watch", "beat")
ALL = STORES + SERVICES
REPLACED_BY = {"postgres": "DATABASE_URL", "kafka": "KAFKA_BOOTSTRAP_SERVERS", "valkey": "CELERY_BROKER_URL"}
STOP_ORDER = (("beat",), ("lanes", "control", "watch"), ("web",), ("valkey",), ("kafka",), ("postgres",))
RESTART_LIMIT = 5
RESTART_WITHIN = 60.0
LONGEST_REST = 30.0
"""Between two starts of a service that keeps dying."""
MADE_BEFORE = {"supervisor.log"}
"""What `up --detach` puts into a data folder before the stack holds it."""
POLL = 0.1
SECRET_KEY_BYTES = 48
"""Django wants 50 characters and more of the key that signs sessions: these make 64."""
WEB_PORT = 8000


class Stack:
    """The parts of one data folder.

    `external` names existing services (DATABASE_URL, KAFKA_BOOTSTRAP_SERVERS, CELERY_BROKER_URL): each replaces its
    part. `ports` fixes ports by name ("web", "postgres", "kafka", ...); without it they are free ones, the same again
    next time. `register` lets other commands of this clone find this stack. `proxied` gives Kafka a second listener:
    (port bound, port told to clients), for a proxy between them.
    """

    def __init__(
        self,
        data: Path,
        parts: Iterable[str] = ALL,
        *,
        progress: Callable[[str], None] = lambda text: None,
        external: Mapping[str, str] | None = None,
        ports: Mapping[str, int] | None = None,
        register: bool = False,
        proxied: tuple[int, int] | None = None,
        restart_limit: int = RESTART_LIMIT,
    ) -> None:
        self.data = data.expanduser().resolve()
        self._say = progress
        self._external = {key: value for key, value in (external or {}).items() if value}
        self._fixed = dict(ports or {})
        self._register = register
        self._proxied = proxied
        self._limit = restart_limit
        replaced = {part for part, key in REPLACED_BY.items() if key in self._external}
        self._names = tuple(name for name in ALL if name in set(parts) - replaced)
        self._check_names(parts)
        self._runs: dict[str, Run] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._monitor: threading.Thread | None = None
        self._spawner: ThreadPoolExecutor | None = None
        self._starters: list[Future[None]] = []
        self._guard: Guard | None = None
        self._held: int | None = None
        self._secrets: Secrets | None = None
        self._recorded = ""
        self._logs_at = 0.0
        self.failure: StackError | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    def reserve(self) -> None:
        """Hold the data folder and fix passwords and ports, so that `env` is known before anything runs. `start` does
        it too.

        Raises:
            DataFolderBusy: another stack runs on this data folder.
        """
        if self._held is not None:
            return
        self._hold_data_folder()
        self._closing.clear()
        self._secrets = Secrets(self.data)
        self._runs = {name: Run(self._make(name)) for name in self._names}
        for run in self._runs.values():
            self._give_ports(run.part)

    def start(self, only: Iterable[str] | None = None) -> None:
        """Start all parts (or `only` some, the others later by `start_part`): stores at once, the migrations, the
        services.

        Raises:
            DataFolderBusy: another stack runs on this data folder.
            PartFailed, PartNotReady: a part did not come up; everything is stopped again.
            StackError: see errors.py.
        """
        names = [name for name in self._names if only is None or name in set(only)]
        try:
            self.reserve()
            self._write_record("starting")
            self._spawner = ThreadPoolExecutor(1, thread_name_prefix="stack-spawner")
            self._guard = Guard()
            services = [name for name in names if name in SERVICES]
            others = [partial(self._bring_up, name) for name in names if name in STORES and name != "postgres"]
            # Migrating needs the database alone; the broker takes the same seconds to start.
            self._do_together([*others, partial(self._bring_up_database, "postgres" in names, migrate=bool(services))])
            self._do_together([partial(self._bring_up, name) for name in services])
            self._monitor = threading.Thread(target=self._watch, name="stack-monitor", daemon=True)
            self._monitor.start()
            self._write_record()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything, in order; nothing is left running, no port or lock held. Does nothing when nothing runs."""
        self._closing.set()
        if self._monitor and self._monitor is not threading.current_thread():
            self._monitor.join()
        # Interrupted while starting: those threads see that we are closing, and leave nothing behind that is not in
        # _runs.
        wait_for(self._starters)
        for names in STOP_ORDER:
            self._end_together([self._runs[name] for name in names if name in self._runs])
        self._dismiss_helpers()
        if self._held is not None:
            self._write_record(state="stopped")
            record.unpoint(self.data)
            os.close(self._held)
            self._held = None

    def remove(self) -> None:
        """Stop, then remove the data folder and what parts keep outside it."""
        self.stop()
        for run in self._runs.values():
            run.part.remove()
        shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def migrate(self) -> None:
        """Run Django's migrations as the owner.

        Raises:
            StackError: they failed; `found` holds the last lines.
        """
        self._say("database: migrating")
        environment = django_environment(self.env(), {"PASSGATE_OWNER_URL"})
        done = subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--database", "owner", "--no-input", "--verbosity", "1"],
            capture_output=True, text=True, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        log = self.data / "log" / "migrate.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            raise StackError(
                expected="the migrations to run", found=_last(done.stderr or done.stdout), next_step=f"read {log}"
            )

    # --- what it is -------------------------------------------------------------------------------------------------

    def env(self) -> dict[str, str]:
        """The settings by which Passgate's processes find this stack."""
        assert self._secrets is not None, "the stack was never started"
        found = {"PASSGATE_DATA": str(self.data), "PASSGATE_SECRET_KEY": self._secrets.get("django", SECRET_KEY_BYTES)}
        for run in self._runs.values():
            found |= run.part.env()
        return found | self._external

    @property
    def url(self) -> str | None:
        """Where a browser goes; None without a web server."""
        port = self._runs["web"].part.port if "web" in self._runs else None
        return f"http://127.0.0.1:{port}" if port else None

    def status(self) -> list[dict[str, Any]]:
        """One row a part, in the order they start: part, state, pid, port, restarts, uptime in seconds."""
        rows = [run.row(name) for name, run in self._runs.items()]
        external = [name for name, key in REPLACED_BY.items() if key in self._external]
        return rows + [
            {"part": name, "state": "external", "pid": None, "port": None, "restarts": 0, "since": None, "why": None}
            for name in external
        ]

    def pids(self, part: str) -> list[int]:
        """The pids of a part: its leader first, then its descendants."""
        process = self._run(part).process
        return [member.pid for member in process.members()] if process else []

    def log(self, part: str) -> Path:
        """The log file of a part."""
        return self.data / "log" / f"{part}.log"

    def is_up(self, part: str) -> bool:
        """Whether a part is up now."""
        return self._run(part).state is State.UP

    # --- disturbing it, for tests and the demo ----------------------------------------------------------------------

    def kill(self, part: str, number: int = signal.SIGKILL) -> None:
        """Signal every process of a part. If it dies, it is started again: see `wait_up`."""
        process = self._process(part)
        process.send_all(number)
        if number == signal.SIGKILL:
            process.wait(10)

    def freeze(self, part: str) -> None:
        """SIGSTOP every process of a part: it holds its connections and answers nothing."""
        self._process(part).send_all(signal.SIGSTOP)
        self._run(part).state = State.FROZEN

    def thaw(self, part: str) -> None:
        """SIGCONT every process of a part."""
        self._process(part).send_all(signal.SIGCONT)
        self._run(part).state = State.UP

    def stop_part(self, part: str) -> None:
        """Stop one part in its own way; it stays down until `start_part`."""
        with self._lock:
            self._end(self._run(part))

    def start_part(self, part: str) -> None:
        """Start a part that was stopped, and wait until it answers."""
        with self._lock:
            if not self._run(part).wanted:
                self._bring_up(part)
                self._write_record()

    def restart(self, part: str) -> None:
        """Stop a part in its own way, start it, wait until it answers."""
        self.stop_part(part)
        self.start_part(part)

    def wait_up(self, part: str, seconds: float = 60.0) -> None:
        """Wait until a part is up and answers, after it was killed.

        Raises:
            PartNotReady: it was not, within `seconds`.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            run = self._run(part)
            alive = run.process is not None and run.process.exit_code() is None
            if alive and run.state is State.UP and run.process and run.part.is_ready(run.process):
                return
            if self.failure:
                raise self.failure
            time.sleep(POLL)
        raise PartNotReady(expected=f"{part} to be up within {seconds:.0f} s", found=self._run(part).state)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the stack gave up on a part (then `failure` says why) or is being stopped; False when time is
        over first.
        """
        return self._closing.wait(seconds)

    # --- starting ---------------------------------------------------------------------------------------------------

    def _check_names(self, parts: Iterable[str]) -> None:
        for name in parts:
            if name not in ALL:
                raise UnknownPart(expected=f"one of {', '.join(ALL)}", found=name)

    def _hold_data_folder(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self._check_data_folder()
        # Root's folder lets the account that runs PostgreSQL pass, and see nothing; secrets have modes of their own.
        self.data.chmod(0o711 if os.geteuid() == 0 else 0o700)
        held = os.open(self.data / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            there = record.read(record.record_file(self.data))
            raise DataFolderBusy(
                expected=f"{self.data} to be free",
                found=f"pid {there.get('pid')}, {there.get('url') or 'without a web server'}",
            ) from None
        self._held = held

    def _check_data_folder(self) -> None:
        """Refuse a folder with somebody else's files: its mode is changed, and it is removed as a whole one day."""
        found = self.data.stat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o002:
            raise DataFolderForeign(
                expected=f"{self.data} to be ours, and not writable for everybody",
                found=f"uid {found.st_uid}, mode {found.st_mode & 0o777:o}",
                next_step="see what others put into it, then name another folder",
            )
        names = {path.name for path in self.data.iterdir()}
        if ".lock" not in names and names - MADE_BEFORE:
            raise DataFolderForeign(
                expected=f"{self.data} to be empty, or a data folder already",
                found=f"other files in it ({sorted(names)[0]})",
                next_step="name another folder",
            )

    def _make(self, name: str) -> Part:
        assert self._secrets is not None
        makers: dict[str, Callable[[], Part]] = {
            "postgres": lambda: Postgres(self.data, self._secrets),  # type: ignore[arg-type]
            "kafka": lambda: Kafka(self.data, self._proxied),
            "valkey": lambda: Valkey(self.data, self._secrets),  # type: ignore[arg-type]
            "web": lambda: Web(self.data, self.env),
            "lanes": lambda: Lanes(self.data, self.env),
            "control": lambda: Control(self.data, self.env),
            "watch": lambda: Watch(self.data, self.env),
            "beat": lambda: Beat(self.data, self.env),
        }
        return makers[name]()

    def _do_together(self, steps: Sequence[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(max(1, len(steps))) as pool:
            self._starters = [pool.submit(step) for step in steps]
        for each in self._starters:
            each.result()

    def _bring_up_database(self, ours: bool, migrate: bool) -> None:
        if ours:
            self._bring_up("postgres")
        if migrate:
            self.migrate()

    def _bring_up(self, name: str) -> None:
        """Prepare, start and wait for a part; twice again on other ports should somebody have taken one in the
        meantime.
        """
        run, began = self._runs[name], time.monotonic()
        for tries_left in (2, 1, 0):
            try:
                run.state = State.STARTING
                run.part.prepare(self._say)
                self._spawn(run)
                self._wait_ready(run)
                break
            except PartFailed:
                self._end(run)
                if not tries_left or not run.lost_a_port():
                    raise
                with self._lock:
                    self._give_ports(run.part, afresh=True)
        where = f" on 127.0.0.1:{run.part.port}" if run.part.port else ""
        self._say(f"{name}: up{where} ({time.monotonic() - began:.1f} s)")

    def _give_ports(self, part: Part, afresh: bool = False) -> None:
        earlier = {} if afresh else record.read(record.record_file(self.data)).get("ports", {})
        taken = frozenset(
            port for run in self._runs.values() if run.part is not part for port in run.part.ports.values()
        )
        for name in part.port_names:
            fixed = self._fixed.get(name)
            wanted = fixed or earlier.get(name) or (WEB_PORT if name == "web" and self._register else None)
            port = free_port(wanted, taken)
            if fixed and port != fixed:
                raise NoFreePort(expected=f"port {fixed} for {name} to be free", found="another program on it")
            part.ports[name] = port
            taken |= {port}

    def _spawn(self, run: Run) -> None:
        """Start the process from the one thread that lives as long as the stack: the kernel's death signal goes by
        thread.
        """
        assert self._spawner is not None and self._guard is not None
        if self._closing.is_set():
            raise StackError(expected="to start a part", found="the stack is being stopped")
        bound_log(self.log(run.part.name))
        run.process = self._spawner.submit(start, run.part.command(), self.log(run.part.name)).result()
        self._guard.watch(run.process)
        run.wanted = True
        run.since = time.time()
        run.ready_by = time.monotonic() + run.part.start_seconds

    def _wait_ready(self, run: Run) -> None:
        while not self._became_ready(run):
            if self._closing.is_set():
                raise StackError(expected=f"{run.part.name} to start", found="the stack is being stopped")
            time.sleep(POLL)

    def _became_ready(self, run: Run) -> bool:
        """Whether it answers now.

        Raises:
            PartFailed: it ended.
            PartNotReady: its time is over.
        """
        process = run.process
        assert process is not None
        if process.exit_code() is not None:
            raise PartFailed(
                expected=f"{run.part.name} to start", found=run.obituary(), next_step=f"read {self.log(run.part.name)}"
            )
        if run.part.is_ready(process):
            run.state = State.UP
            return True
        if time.monotonic() > run.ready_by:
            raise PartNotReady(
                expected=f"{run.part.name} within {run.part.start_seconds:.0f} s", found=process.last_lines()
            )
        return False

    # --- watching ---------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """The monitor thread: restarts what died, bounds logs, keeps the record true."""
        while not self._closing.wait(POLL):
            try:
                self._look()
            except (OSError, StackError, psutil.Error) as error:
                if not self._closing.is_set():
                    self._say(f"stack: {error}")

    def _look(self) -> None:
        with self._lock:
            for run in self._runs.values():
                self._attend(run)
        now = repr(self.status())
        if now != self._recorded:
            self._write_record()
            self._recorded = now
        if time.monotonic() > self._logs_at:
            for name in self._runs:
                bound_log(self.log(name))
            self._logs_at = time.monotonic() + 5

    def _attend(self, run: Run) -> None:
        if not run.wanted or self._closing.is_set():
            return
        if run.again_at is not None:
            if time.monotonic() >= run.again_at:
                run.again_at = None
                self._spawn(run)
        elif run.process and run.process.exit_code() is not None:
            self._mourn(run)
        elif run.state is State.RESTARTING:
            self._see_whether_up_again(run)

    def _mourn(self, run: Run) -> None:
        """Say that a part ended, and start it again or give up."""
        assert run.process is not None and self._guard is not None
        self._guard.forget(run.process)
        now = time.monotonic()
        run.deaths = [death for death in run.deaths if now - death < RESTART_WITHIN] + [now]
        run.state, run.why = State.RESTARTING, run.obituary()
        if len(run.deaths) > self._limit and run.part.vital:
            self._give_up(run)
            return
        rest = min(LONGEST_REST, 0.2 * 2 ** (len(run.deaths) - 1))
        bound = f"{len(run.deaths)} of {self._limit} in a minute" if run.part.vital else f"in {rest:.1f} s"
        self._say(f"{run.part.name}: ended ({run.why}); starting it again, {bound}")
        run.restarts += 1
        run.again_at = now + rest

    def _see_whether_up_again(self, run: Run) -> None:
        try:
            if self._became_ready(run):
                self._say(f"{run.part.name}: up again")
        except PartNotReady:
            assert run.process is not None
            run.process.end(((signal.SIGKILL, 5.0),))
        except PartFailed:
            pass  # The next look finds it dead and counts it.

    def _give_up(self, run: Run) -> None:
        self.failure = PartFailed(
            expected=f"{run.part.name} to stay up",
            found=f"{len(run.deaths)} ends within {RESTART_WITHIN:.0f} s, the last one: {run.obituary()}",
            next_step=f"read {self.log(run.part.name)}",
        )
        run.wanted = False
        self._say(str(self.failure))
        self._closing.set()

    # --- stopping ---------------------------------------------------------------------------------------------------

    def _end_together(self, runs: list[Run]) -> None:
        enders = [threading.Thread(target=self._end, args=(run,)) for run in runs if run.process]
        for thread in enders:
            thread.start()
        for thread in enders:
            thread.join()

    def _end(self, run: Run) -> None:
        run.wanted = False
        run.again_at = None
        if run.process and run.state is not State.STOPPED:
            run.process.end(run.part.stop_steps)
            if self._guard:
                self._guard.forget(run.process)
        run.state = State.STOPPED

    def _dismiss_helpers(self) -> None:
        if self._guard:
            self._guard.dismiss()
            self._guard = None
        if self._spawner:
            self._spawner.shutdown()
            self._spawner = None

    # --- the record -------------------------------------------------------------------------------------------------

    def _write_record(self, state: str = "running") -> None:
        assert self._secrets is not None or state == "stopped"
        ports = {name: port for run in self._runs.values() for name, port in run.part.ports.items()}
        entry: record.Record = {
            "format": 1, "state": state, "pid": os.getpid(), "started": record.signature(os.getpid()),
            "data": str(self.data),
            "url": self.url, "ports": record.read(record.record_file(self.data)).get("ports", {}) | ports,
            "parts": self.status(), "env": self.env() if self._secrets else {},
            "failure": str(self.failure) if self.failure else None,
        }  # fmt: skip
        record.write(record.record_file(self.data), entry)
        if self._register and state != "stopped":
            record.point_to(entry)

    # --- looking up -------------------------------------------------------------------------------------------------

    def _run(self, part: str) -> Run:
        if part not in self._runs:
            raise UnknownPart(expected=f"one of {', '.join(self._runs) or 'none: it is not started'}", found=part)
        return self._runs[part]

    def _process(self, part: str) -> Process:
        process = self._run(part).process
        if process is None:
            raise PartNotReady(expected=f"{part} to run", found="it was never started")
        return process


def _last(text: str) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-4:])
