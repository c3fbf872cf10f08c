"""Migrations are equal to the models, SQL-made tables included."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models

LEDGER = [model for app in ("ingest", "audit", "plans") for model in apps.get_app_config(app).get_models()]


def test_no_migration_is_missing(live: object) -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def columns(table: str) -> dict[str, tuple[str, bool]]:
    """name -> (type, may be null), as the database has it."""
    with connection.cursor() as cur:
        cur.execute(
            "SELECT attname, format_type(atttypid, NULL), NOT attnotnull FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [table],
        )
        return {name: (kind, null) for name, kind, null in cur.fetchall()}


def told(field: models.Field[Any, Any]) -> tuple[str, bool]:
    kind = field.db_type(connection) or ""
    return kind.split("(")[0].replace("serial", "integer"), field.null


@pytest.mark.parametrize("model", LEDGER, ids=lambda m: m.__name__)
def test_the_table_is_what_the_model_says(live: object, model: type[models.Model]) -> None:
    wanted = {f.column: told(f) for f in model._meta.concrete_fields if f.column}
    assert columns(model._meta.db_table) == wanted


@pytest.mark.parametrize("model", LEDGER, ids=lambda m: m.__name__)
def test_every_named_constraint_is_in_force(live: object, model: type[models.Model]) -> None:
    with connection.cursor() as cur:
        found = connection.introspection.get_constraints(cur, model._meta.db_table)
    wanted = {c.name for c in model._meta.constraints} | {i.name for i in model._meta.indexes}
    assert wanted <= set(found)
