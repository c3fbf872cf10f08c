"""Becomes a part of the stack: ties its life to its parent's, drops root where asked, then executes the part.

Run as a script, without site packages, so that it costs some milliseconds. A function between fork and exec would do
the same but is not safe in a process with threads.

Arguments: parent pid, death signal, uid, gid (-1: keep), then the command.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, death_signal: int, uid: int, gid: int, command: list[str]) -> None:
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After setuid, which clears it.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    # The parent may have died before the line above.
    if os.getppid() != parent:
        os._exit(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.execvp(command[0], command)


if __name__ == "__main__":
    parent, death_signal, uid, gid = (int(word) for word in sys.argv[1:5])
    main(parent, death_signal, uid, gid, sys.argv[5:])
