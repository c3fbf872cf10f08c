"""What a deployment is checked for, by `check --deploy` and when the web process starts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from ingest.core.errors import SettingsError


class PublicKey(SettingsError):
    """Whoever knows the default key, which is everybody, can sign a session for anybody."""

    code = "secret_key_public"
    what = "PASSGATE_SECRET_KEY is not set"


def is_public() -> bool:
    return bool(settings.SECRET_KEY == settings.PUBLIC_KEY)


def refuse_public_key() -> None:
    """Raises PublicKey where sessions would be signed with the default key; a developer's debug server may."""
    if is_public() and not settings.DEBUG:
        raise PublicKey(
            expected="50 random characters or more",
            found="the public default",
            next_step="python -c 'import secrets; print(secrets.token_urlsafe(48))', and keep it secret",
        )


@register(Tags.security, deploy=True)
def check_secret_key(app_configs: Any, **more: Any) -> list[CheckMessage]:
    """passgate.E001"""
    if not is_public():
        return []
    hint = "Set PASSGATE_SECRET_KEY to 50 random characters or more; the web process does not start without it."
    return [Error("Sessions would be signed with the public default key.", hint=hint, id="passgate.E001")]
