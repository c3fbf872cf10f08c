"""What runs on a stack runs in a process of its own: `python -m bench.child bench.admission:measure '{"workers": 2}'`.

The last line on stdout is the answer, as JSON. The environment is the stack's; the pids of its parts come with it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from importlib import import_module
from typing import Any

from trials.bench.ends import BenchEnded

PIDS = "PASSGATE_BENCH_PIDS"
GROUPS = {
    "postgres": "postgres",
    "kafka": "broker",
    "lanes": "workers",
    "control": "control",
    "watch": "watch",
    "web": "web",
}


def parts() -> dict[str, list[int]]:
    """The leaders of the stack's parts, by the group their CPU seconds stand under."""
    found: dict[str, int] = json.loads(os.environ.get(PIDS, "{}"))
    return {GROUPS[name]: [pid] for name, pid in found.items() if name in GROUPS}


def set_up() -> None:
    """Django on the stack; what workers log about ordinary things stays out of the terminal."""
    import django

    django.setup()
    logging.getLogger().setLevel(logging.ERROR)


def main() -> None:
    where, arguments = sys.argv[1], json.loads(sys.argv[2])
    set_up()
    module, name = where.split(":")
    try:
        answer: Any = getattr(import_module(module), name)(**arguments)
    except BenchEnded as error:
        sys.exit(str(error))
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
