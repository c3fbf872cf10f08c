"""`passgate up` in the foreground: the process that owns the stack until Ctrl-C, SIGTERM or a part that will not stay
up.
"""

import os
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import FrameType

from stack.errors import StackError
from stack.stack import REPLACED_BY, Stack

REFUSED = 3
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PASSED_ON = (*REPLACED_BY.values(), "PASSGATE_OWNER_URL")


def supervise(data: Path, parts: Iterable[str], ports: Mapping[str, int], say: Callable[[str], None]) -> int:
    """Run the stack until it is told to stop; the exit code is 0, or 3 when it could not start or go on."""
    external = {key: os.environ[key] for key in PASSED_ON if os.environ.get(key)}
    stack = Stack(data, parts, progress=say, external=external, ports=ports, register=True)
    catch_signals(say)
    try:
        stack.start()
        say(f"Passgate is up: {stack.url or 'without a web server'} (Ctrl-C stops it)")
        stack.wait()
    except KeyboardInterrupt:
        pass
    except StackError as error:
        say(f"{error} [{error.code}]")
        return REFUSED
    except OSError as error:
        say(f"the machine refuses: {error}")
        return REFUSED
    finally:
        stack.stop()
        say("stopped")
    return REFUSED if stack.failure else 0


def catch_signals(say: Callable[[str], None]) -> None:
    """Turn the first stop signal into KeyboardInterrupt; later ones change nothing, since stopping is under way."""
    seen: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) == 1:
            say("stopping")
            raise KeyboardInterrupt

    for number in SIGNALS:
        # Ignored by who started us, with nohup for example: then it stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, on_signal)
