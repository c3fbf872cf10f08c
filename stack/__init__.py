"""The embedded stack: PostgreSQL, Kafka, Valkey and Passgate's own processes on one machine, on loopback, in one data
folder.

Its words are looked up when they are asked for: manage.py reads `stack.bootstrap` before anything is installed.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stack.stack import ALL, SERVICES, STORES, Stack
else:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in __all__:
            return getattr(import_module("stack.stack"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["ALL", "SERVICES", "STORES", "Stack"]
