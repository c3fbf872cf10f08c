"""Django's checks of ours: by `check`, and before commands that look; what is an error of a setting ends each start.

| id | says |
|---|---|
| passgate.E001 | the key that signs sessions is the public default (with --deploy, and when the web process starts) |
| passgate.E002 | a setting's text has not its form |
| passgate.E003 | a setting of the Kafka client that nobody may set |
| passgate.W001 | a name that begins with PASSGATE_ and is no setting |
"""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register

from console.environment.faults import UNKNOWN_NAME, faults, unknown
from console.environment.start import end
from ingest.core.errors import SettingsError


class PublicKey(SettingsError):
    """Whoever knows the default key, which is everybody, can sign a session for anybody."""

    code = "secret_key_public"
    what = "PASSGATE_SECRET_KEY is not set"


def is_public() -> bool:
    return bool(settings.SECRET_KEY == settings.PUBLIC_KEY)


def refuse_public_key() -> None:
    """Ends the process where sessions would be signed with the default key; a developer's debug server may."""
    if is_public() and not settings.DEBUG:
        error = PublicKey(
            expected="50 random characters or more",
            found="the public default",
            next_step="python -c 'import secrets; print(secrets.token_urlsafe(48))', and keep it secret",
        )
        end(f"{error} [{error.code}]")


@register(Tags.security, deploy=True)
def check_secret_key(app_configs: Any, **more: Any) -> list[CheckMessage]:
    """passgate.E001"""
    if not is_public():
        return []
    hint = "Set PASSGATE_SECRET_KEY to 50 random characters or more; the web process does not start without it."
    return [Error("Sessions would be signed with the public default key.", hint=hint, id="passgate.E001")]


@register()
def check_environment(app_configs: Any, **more: Any) -> list[CheckMessage]:
    """passgate.E002, passgate.E003, passgate.W001"""
    bad = [
        Error(f"{fault.key}: found {fault.found}.", hint=f"Write {fault.write}.", id=fault.id)
        for fault in faults(os.environ)
    ]
    odd = [
        checks.Warning(f"{name.name} is no setting.", hint=name.near and f"Did you mean {name.near}?", id=UNKNOWN_NAME)
        for name in unknown(os.environ)
    ]
    return [*bad, *odd]
