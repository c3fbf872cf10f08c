"""The embedded stack: PostgreSQL, Kafka, Valkey and Passgate's own processes on one machine, on loopback, in one data
folder.
"""

from console.stack.stack import ALL, SERVICES, STORES, Stack

__all__ = ["ALL", "SERVICES", "STORES", "Stack"]
