"""Structured logs: one JSON object a line, so that CR, LF and escapes in data cannot forge a line."""

from __future__ import annotations

import logging

import structlog


def formatter() -> logging.Formatter:
    """What settings.LOGGING calls: stdlib records in, JSON lines out."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
