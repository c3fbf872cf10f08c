"""What verdicts say of attempts that people decided about: see sql/decide.sql."""

from django.db import migrations

from audit.migrations.sql import sql_text

_UNDO = """
DROP TRIGGER verdict_names_decisions ON verdict;
DROP FUNCTION verdict_names_decisions();
DROP FUNCTION window_decisions(integer);
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0012_reruns"), ("ingest", "0017_decide")]

    operations = [migrations.RunSQL(sql_text("decide"), _UNDO)]
