"""What can go wrong with the embedded stack, by name."""

from ingest.core.errors import PassgateError


class StackError(PassgateError):
    """Base of the embedded stack's errors."""

    code = "stack_error"
    what = "the embedded stack cannot go on"


class PartFailed(StackError):
    """A part ended while it was starting, or more often than its limit allows; `found` holds its last log lines."""

    code = "stack_part_failed"
    what = "a part of the stack does not stay up"
    retry = True


class PartNotReady(StackError):
    """A part runs but does not answer in its time."""

    code = "stack_part_not_ready"
    what = "a part of the stack does not answer"
    retry = True


class UnknownPart(StackError):
    """A part's name that this stack does not have."""

    code = "stack_part_unknown"
    what = "the stack has no such part"


class DataFolderBusy(StackError):
    """Another stack runs on this data folder."""

    code = "stack_data_busy"
    what = "another stack runs on this data folder"


class DataFolderForeign(StackError):
    """The folder named holds files that no stack made."""

    code = "stack_data_foreign"
    what = "this is no data folder"


class NoAccount(StackError):
    """Postgres refuses to run as root and no unprivileged account was found to run it as."""

    code = "stack_no_account"
    what = "PostgreSQL does not run as root"


class JarMismatch(StackError):
    """A jar whose bytes are not those pinned in kafka.lock; it is never put on a class path."""

    code = "stack_jar_mismatch"
    what = "a jar of Apache Kafka is not the one pinned in kafka.lock"


class JarsUnreachable(StackError):
    """A jar is not in the cache and could not be fetched."""

    code = "stack_jars_unreachable"
    what = "a jar of Apache Kafka could not be fetched"
    retry = True


class JavaUnusable(StackError):
    """PASSGATE_JAVA names something that is not a Java runtime of 17 or newer."""

    code = "stack_java_unusable"
    what = "Java cannot be used"


class NoFreePort(StackError):
    """No loopback port could be bound in the range tried."""

    code = "stack_no_free_port"
    what = "no free port was found on 127.0.0.1"
    retry = True
