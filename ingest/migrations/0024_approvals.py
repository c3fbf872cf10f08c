"""How many approvals a contract asks for, where the database sees it. What was loaded before says it in its text."""

import tomllib
from typing import Any

from django.db import migrations, models


def read_texts(apps: Any, schema_editor: Any) -> None:
    """Contracts never change: their guard is taken away for this transaction alone."""
    with schema_editor.connection.cursor() as cur:
        cur.execute("SELECT id, source_text FROM contract")
        asked = [(_approvals(bytes(text)), number) for number, text in cur.fetchall()]
        cur.execute("ALTER TABLE contract DISABLE TRIGGER append_only")
        cur.executemany("UPDATE contract SET approvals = %s WHERE id = %s", [row for row in asked if row[0] > 1])
        cur.execute("ALTER TABLE contract ENABLE TRIGGER append_only")


def _approvals(text: bytes) -> int:
    try:
        return int(tomllib.loads(text.decode()).get("plans", {}).get("approvals", 1))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return 1


class Migration(migrations.Migration):
    dependencies = [("ingest", "0023_mended")]

    operations = [
        migrations.AddField("contract", "approvals", models.SmallIntegerField(db_default=1)),
        migrations.RunPython(read_texts, migrations.RunPython.noop),
    ]
