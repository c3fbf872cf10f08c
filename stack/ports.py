"""Free ports on 127.0.0.1, the same ones again where they are still free."""

import random
import socket

from stack.errors import NoFreePort

RANGE = range(20_000, 32_000)
"""Below the ephemeral ports, so that no outgoing connection takes a part's port while the part is being restarted."""


def is_free(port: int) -> bool:
    """Whether a server could bind `port` now; connections of an earlier one that linger in TIME_WAIT do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(wanted: int | None = None, taken: frozenset[int] = frozenset()) -> int:
    """`wanted` where it is free, else any free port not in `taken`.

    Raises:
        NoFreePort: a hundred tries found none.
    """
    if wanted and wanted not in taken and is_free(wanted):
        return wanted
    for port in random.sample(RANGE, 100):
        if port not in taken and is_free(port):
            return port
    raise NoFreePort(expected=f"a free port in {RANGE.start}-{RANGE.stop}", found="none in 100 tries")


def answers(port: int) -> bool:
    """Whether something accepts connections on `port`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
