# Tables as the models say; what the database refuses follows in 0002.

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.db import migrations, models

from ingest.migrations.sql import sql_text


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Attempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('transactional_id', models.TextField()),
                ('fence', models.BigIntegerField()),
                ('owner', models.TextField()),
                ('install_id', models.UUIDField()),
                ('cluster_id', models.TextField()),
                ('topic_id', models.TextField()),
                ('topic', models.TextField()),
                ('events', models.IntegerField()),
                ('bytes', models.BigIntegerField()),
                ('state', models.TextField(choices=[('PREPARED', 'written before begin_transaction()'), ('UNKNOWN', 'nobody knows what landed'), ('ACKED', 'every event has its place on the bus'), ('ABSENT', 'none landed; its batches were queued again'), ('PARTIAL', 'what landed has a place, the rest was queued again'), ('UNDECIDABLE', 'the scan cannot answer; a plan decides'), ('NOT_SENT', 'produce() itself refused; nothing left this process')], db_default='PREPARED')),
                ('why', models.TextField(null=True)),
                ('prepared_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('unknown_at', models.DateTimeField(null=True)),
                ('settled_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'attempt',
            },
        ),
        migrations.CreateModel(
            name='Contract',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.IntegerField()),
                ('digest', models.BinaryField()),
                ('source_text', models.BinaryField()),
                ('files', models.JSONField()),
                ('loaded_by', models.TextField()),
                ('loaded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'contract',
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(sql_text("effect"), "DROP TABLE effect")],
            state_operations=[
                migrations.CreateModel(
                    name='Effect',
                    fields=[
                        ('pk', models.CompositePrimaryKey('run_number', 'identity', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('run_number', models.IntegerField()),
                        ('identity', models.BinaryField()),
                        ('win', models.IntegerField()),
                        ('bus_source_id', models.IntegerField()),
                        ('bus_offset', models.BigIntegerField()),
                        ('bus_batch_id', models.BigIntegerField()),
                        ('context_state', models.SmallIntegerField(null=True)),
                        ('context_reason', models.TextField(null=True)),
                    ],
                    options={
                        'db_table': 'effect',
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name='Source',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.TextField(choices=[('inbox', 'inbox'), ('bus', 'bus')])),
                ('kind', models.TextField(choices=[('topic', 'topic'), ('door', 'door'), ('plan', 'plan')], db_default='topic')),
                ('cluster_id', models.TextField()),
                ('topic_id', models.TextField()),
                ('topic', models.TextField()),
                ('partition', models.IntegerField()),
                ('first_seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'source',
            },
        ),
        migrations.CreateModel(
            name='AuditHead',
            fields=[
                ('id', models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('last_id', models.BigIntegerField()),
                ('digest', models.BinaryField()),
            ],
            options={
                'db_table': 'audit_head',
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='audit_head_is_one_row')],
            },
        ),
        migrations.CreateModel(
            name='AuditLog',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('actor', models.TextField()),
                ('act', models.TextField()),
                ('subject', models.TextField()),
                ('reason', models.TextField()),
                ('refused', models.BooleanField(db_default=False)),
                ('detail', models.JSONField()),
                ('previous', models.BinaryField()),
                ('digest', models.BinaryField()),
            ],
            options={
                'db_table': 'audit_log',
                'indexes': [models.Index(fields=['subject', '-id'], name='audit_log_subject')],
            },
        ),
        migrations.CreateModel(
            name='Batch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('run_number', models.IntegerField()),
                ('from_offset', models.BigIntegerField()),
                ('to_offset', models.BigIntegerField()),
                ('leader_epoch', models.IntegerField(null=True)),
                ('records', models.IntegerField()),
                ('admitted', models.IntegerField()),
                ('duplicates', models.IntegerField()),
                ('quarantined', models.IntegerField()),
                ('reserialised', models.IntegerField(db_default=0)),
                ('bytes', models.BigIntegerField()),
                ('digest', models.BinaryField()),
                ('fence', models.BigIntegerField()),
                ('owner', models.TextField()),
                ('committed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('contract', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.contract')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source')),
            ],
            options={
                'db_table': 'batch',
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(sql_text("event"), "DROP TABLE event")],
            state_operations=[
                migrations.CreateModel(
                    name='Event',
                    fields=[
                        ('pk', models.CompositePrimaryKey('run_number', 'identity', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('run_number', models.IntegerField()),
                        ('identity', models.BinaryField()),
                        ('win', models.IntegerField()),
                        ('class_id', models.IntegerField()),
                        ('source_id', models.IntegerField()),
                        ('offset', models.BigIntegerField()),
                        ('batch_id', models.BigIntegerField()),
                        ('payload_digest', models.BinaryField()),
                        ('event_id', models.TextField()),
                        ('key', models.BinaryField(null=True)),
                        ('headers', models.BinaryField(null=True)),
                        ('payload', models.BinaryField(null=True)),
                    ],
                    options={
                        'db_table': 'event',
                        'indexes': [models.Index(fields=['batch_id', 'offset'], name='event_batch')],
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name='Install',
            fields=[
                ('id', models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('install_id', models.UUIDField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'install',
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='install_is_one_row')],
            },
        ),
        migrations.CreateModel(
            name='Permit',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('issued_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('taken_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'permit',
                'indexes': [models.Index(condition=models.Q(('ended_at__isnull', True)), fields=['issued_at'], name='permit_open')],
            },
        ),
        migrations.CreateModel(
            name='Place',
            fields=[
                ('pk', models.CompositePrimaryKey('source_id', 'offset', blank=True, editable=False, primary_key=True, serialize=False)),
                ('source_id', models.IntegerField()),
                ('offset', models.BigIntegerField()),
                ('attempt_id', models.BigIntegerField()),
                ('bus_source_id', models.IntegerField()),
                ('bus_offset', models.BigIntegerField()),
            ],
            options={
                'db_table': 'place',
                'indexes': [models.Index(fields=['attempt_id'], name='place_attempt')],
            },
        ),
        migrations.CreateModel(
            name='Receipt',
            fields=[
                ('pk', models.CompositePrimaryKey('source_id', 'offset', blank=True, editable=False, primary_key=True, serialize=False)),
                ('source_id', models.IntegerField()),
                ('offset', models.BigIntegerField()),
                ('batch_id', models.BigIntegerField()),
                ('decision', models.SmallIntegerField()),
                ('reason', models.SmallIntegerField()),
                ('flags', models.SmallIntegerField()),
                ('class_id', models.IntegerField(null=True)),
                ('identity', models.BinaryField(null=True)),
                ('payload_digest', models.BinaryField()),
            ],
            options={
                'db_table': 'receipt',
                'indexes': [models.Index(condition=models.Q(('decision', 2)), fields=['source_id', 'offset'], name='receipt_duplicate'), models.Index(condition=models.Q(('decision', 3)), fields=['source_id', 'offset'], name='receipt_quarantined')],
            },
        ),
        migrations.CreateModel(
            name='AttemptPartition',
            fields=[
                ('pk', models.CompositePrimaryKey('attempt', 'partition', blank=True, editable=False, primary_key=True, serialize=False)),
                ('partition', models.IntegerField()),
                ('lo', models.BigIntegerField()),
                ('leader_epoch', models.IntegerField(null=True)),
                ('attempt', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.attempt')),
                ('bus_source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source')),
            ],
            options={
                'db_table': 'attempt_partition',
            },
        ),
        migrations.AddField(
            model_name='attempt',
            name='source',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source'),
        ),
        migrations.CreateModel(
            name='Stream',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'stream',
                'constraints': [models.UniqueConstraint(fields=('name',), name='stream_name_unique')],
            },
        ),
        migrations.AddField(
            model_name='source',
            name='stream',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.stream'),
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('run_id', models.TextField()),
                ('state', models.TextField(choices=[('OPEN', 'admits events'), ('SEALED', 'cut; waits for its verdict'), ('CLOSED', 'sealed, and every window has a verdict')], db_default='OPEN')),
                ('opened_by', models.TextField()),
                ('opened_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('sealed_at', models.DateTimeField(null=True)),
                ('closed_at', models.DateTimeField(null=True)),
                ('contract', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.contract')),
                ('stream', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.stream')),
            ],
            options={
                'db_table': 'run',
            },
        ),
        migrations.CreateModel(
            name='EventClass',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.TextField()),
                ('stream', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.stream')),
            ],
            options={
                'db_table': 'event_class',
            },
        ),
        migrations.AddField(
            model_name='contract',
            name='stream',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.stream'),
        ),
        migrations.CreateModel(
            name='Window',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('number', models.IntegerField()),
                ('state', models.TextField(choices=[('OPEN', 'has no cut yet'), ('CUT', 'its ranges are fixed')], db_default='OPEN')),
                ('reruns', models.IntegerField(null=True)),
                ('revision', models.BigIntegerField(db_default=0)),
                ('judged_revision', models.BigIntegerField(null=True)),
                ('opened_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('cut_at', models.DateTimeField(null=True)),
                ('bus_end_at', models.DateTimeField(null=True)),
                ('contract', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.contract')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.run')),
            ],
            options={
                'db_table': 'run_window',
            },
        ),
        migrations.CreateModel(
            name='QuarantineItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('run_number', models.IntegerField()),
                ('offset', models.BigIntegerField()),
                ('reason', models.SmallIntegerField()),
                ('detail', models.TextField()),
                ('class_id', models.IntegerField(null=True)),
                ('identity', models.BinaryField(null=True)),
                ('event_id', models.TextField(null=True)),
                ('payload_digest', models.BinaryField()),
                ('value', models.BinaryField(null=True)),
                ('key', models.BinaryField(null=True)),
                ('headers', models.BinaryField(null=True)),
                ('first_source_id', models.IntegerField(null=True)),
                ('first_offset', models.BigIntegerField(null=True)),
                ('seen', models.BigIntegerField(db_default=1)),
                ('arrived_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('state', models.TextField(choices=[('OPEN', 'waits for a person'), ('RESOLVED', 'a person decided, with a reason')], db_default='OPEN')),
                ('resolution', models.TextField(choices=[('DISCARDED', 'set aside for good'), ('ACCEPTED_FIRST', 'the first payload stands')], null=True)),
                ('resolved_by', models.TextField(null=True)),
                ('resolved_reason', models.TextField(null=True)),
                ('resolved_at', models.DateTimeField(null=True)),
                ('batch', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, to='ingest.batch')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source')),
                ('win', models.ForeignKey(db_column='win', on_delete=django.db.models.deletion.PROTECT, to='ingest.window')),
            ],
            options={
                'db_table': 'quarantine_item',
            },
        ),
        migrations.CreateModel(
            name='Position',
            fields=[
                ('pk', models.CompositePrimaryKey('lane', 'source', blank=True, editable=False, primary_key=True, serialize=False)),
                ('lane', models.TextField(choices=[('admission', 'reads the inbox'), ('publish', 'writes the bus'), ('effects', 'reads the bus')])),
                ('next_offset', models.BigIntegerField()),
                ('leader_epoch', models.IntegerField(null=True)),
                ('fence', models.BigIntegerField(db_default=0)),
                ('owner', models.TextField(null=True)),
                ('until', models.DateTimeField(null=True)),
                ('cut', models.BigIntegerField(null=True)),
                ('progressed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('stopped_code', models.TextField(null=True)),
                ('stopped_detail', models.TextField(null=True)),
                ('stopped_at', models.DateTimeField(null=True)),
                ('stopped_until', models.DateTimeField(null=True)),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source')),
                ('stream', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.stream')),
                ('next_win', models.ForeignKey(db_column='next_win', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ingest.window')),
                ('win', models.ForeignKey(db_column='win', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ingest.window')),
            ],
            options={
                'db_table': 'position',
            },
        ),
        migrations.CreateModel(
            name='ControlTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_class', models.TextField()),
                ('declared', models.BigIntegerField()),
                ('declared_by', models.TextField()),
                ('declared_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('win', models.ForeignKey(db_column='win', on_delete=django.db.models.deletion.PROTECT, to='ingest.window')),
            ],
            options={
                'db_table': 'control_total',
            },
        ),
        migrations.CreateModel(
            name='Contradiction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.TextField()),
                ('offset', models.BigIntegerField()),
                ('identity', models.BinaryField(null=True)),
                ('detail', models.TextField()),
                ('seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('attempt', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.attempt')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source')),
                ('win', models.ForeignKey(db_column='win', on_delete=django.db.models.deletion.PROTECT, to='ingest.window')),
            ],
            options={
                'db_table': 'contradiction',
            },
        ),
        migrations.AddField(
            model_name='batch',
            name='win',
            field=models.ForeignKey(db_column='win', on_delete=django.db.models.deletion.PROTECT, to='ingest.window'),
        ),
        migrations.CreateModel(
            name='WindowPin',
            fields=[
                ('pk', models.CompositePrimaryKey('win', 'context', blank=True, editable=False, primary_key=True, serialize=False)),
                ('context', models.TextField()),
                ('verdict', models.TextField()),
                ('pinned_win', models.ForeignKey(db_column='pinned_win', on_delete=django.db.models.deletion.PROTECT, related_name='pinned_by', to='ingest.window')),
                ('win', models.ForeignKey(db_column='win', on_delete=django.db.models.deletion.PROTECT, to='ingest.window')),
            ],
            options={
                'db_table': 'window_pin',
            },
        ),
        migrations.CreateModel(
            name='WindowRange',
            fields=[
                ('pk', models.CompositePrimaryKey('win', 'source', blank=True, editable=False, primary_key=True, serialize=False)),
                ('start_offset', models.BigIntegerField()),
                ('end_offset', models.BigIntegerField(null=True)),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source')),
                ('win', models.ForeignKey(db_column='win', on_delete=django.db.models.deletion.PROTECT, to='ingest.window')),
            ],
            options={
                'db_table': 'window_range',
            },
        ),
        migrations.CreateModel(
            name='PublishQueue',
            fields=[
                ('batch', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, serialize=False, to='ingest.batch')),
                ('from_offset', models.BigIntegerField()),
                ('events', models.IntegerField()),
                ('bytes', models.BigIntegerField()),
                ('queued_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source')),
            ],
            options={
                'db_table': 'publish_queue',
            },
        ),
        migrations.CreateModel(
            name='AttemptBatch',
            fields=[
                ('pk', models.CompositePrimaryKey('attempt', 'batch', blank=True, editable=False, primary_key=True, serialize=False)),
                ('offsets', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('partitions', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('live', models.BooleanField(db_default=True)),
                ('attempt', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.attempt')),
                ('batch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.batch')),
            ],
            options={
                'db_table': 'attempt_batch',
                'constraints': [models.UniqueConstraint(condition=models.Q(('live', True)), fields=('batch',), name='attempt_batch_one_live')],
            },
        ),
        migrations.CreateModel(
            name='ReconcileRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('requested_by', models.TextField()),
                ('requested_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('served_at', models.DateTimeField(null=True)),
                ('attempt', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.attempt')),
            ],
            options={
                'db_table': 'reconcile_request',
                'constraints': [models.UniqueConstraint(condition=models.Q(('served_at__isnull', True)), fields=('attempt',), name='reconcile_request_one_waiting')],
            },
        ),
        migrations.CreateModel(
            name='Scan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fence', models.BigIntegerField()),
                ('fenced_at', models.DateTimeField()),
                ('asked_by', models.TextField()),
                ('started_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField()),
                ('answer', models.TextField()),
                ('why', models.TextField(null=True)),
                ('expected', models.IntegerField()),
                ('found', models.IntegerField()),
                ('partitions', models.JSONField()),
                ('attempt', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.attempt')),
            ],
            options={
                'db_table': 'scan',
                'constraints': [models.CheckConstraint(condition=models.Q(('answer__in', ['PRESENT', 'ABSENT', 'PARTIAL', 'UNDECIDABLE'])), name='scan_answer_known'), models.CheckConstraint(condition=models.Q(('started_at__gte', models.F('fenced_at'))), name='scan_after_fence')],
            },
        ),
        migrations.CreateModel(
            name='Sample',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('log_start', models.BigIntegerField(null=True)),
                ('lso', models.BigIntegerField(null=True)),
                ('hw', models.BigIntegerField(null=True)),
                ('leader_epoch', models.IntegerField(null=True)),
                ('kafka_committed', models.BigIntegerField(null=True)),
                ('committed_state', models.TextField(db_default='UNMEASURED')),
                ('next_offset', models.BigIntegerField(null=True)),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source')),
            ],
            options={
                'db_table': 'sample',
                'indexes': [models.Index(fields=['source', '-at'], name='sample_latest')],
            },
        ),
        migrations.CreateModel(
            name='Gap',
            fields=[
                ('pk', models.CompositePrimaryKey('source', 'from_offset', blank=True, editable=False, primary_key=True, serialize=False)),
                ('from_offset', models.BigIntegerField()),
                ('to_offset', models.BigIntegerField()),
                ('leader_epoch', models.IntegerField(null=True)),
                ('isolation', models.TextField()),
                ('why', models.TextField()),
                ('state', models.TextField(choices=[('CLAIMED', 'one consumer says nothing is there'), ('PROVEN', 'a second consumer says so too')], db_default='CLAIMED')),
                ('fence', models.BigIntegerField()),
                ('claimed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('proven_at', models.DateTimeField(null=True)),
                ('proof', models.JSONField(null=True)),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source')),
            ],
            options={
                'db_table': 'gap',
                'constraints': [models.CheckConstraint(condition=models.Q(('to_offset__gt', models.F('from_offset'))), name='gap_range_ordered'), models.CheckConstraint(condition=models.Q(models.Q(('proof__isnull', True), ('state', 'CLAIMED')), models.Q(('proof__isnull', False), ('state', 'PROVEN')), _connector='OR'), name='gap_proof_recorded')],
            },
        ),
        migrations.CreateModel(
            name='ForeignRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('offset', models.BigIntegerField()),
                ('why', models.TextField()),
                ('key', models.BinaryField(null=True)),
                ('value', models.BinaryField(null=True)),
                ('headers', models.BinaryField(null=True)),
                ('read_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source')),
            ],
            options={
                'db_table': 'foreign_record',
                'constraints': [models.UniqueConstraint(fields=('source', 'offset'), name='foreign_record_place_unique')],
            },
        ),
        migrations.CreateModel(
            name='BusBatch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('from_offset', models.BigIntegerField()),
                ('to_offset', models.BigIntegerField()),
                ('leader_epoch', models.IntegerField(null=True)),
                ('records', models.IntegerField()),
                ('applied', models.IntegerField()),
                ('duplicates', models.IntegerField()),
                ('foreign_records', models.IntegerField()),
                ('mismatching', models.IntegerField()),
                ('gaps', models.IntegerField()),
                ('fence', models.BigIntegerField()),
                ('owner', models.TextField()),
                ('committed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='ingest.source')),
            ],
            options={
                'db_table': 'bus_batch',
                'constraints': [models.UniqueConstraint(fields=('source', 'from_offset'), name='bus_batch_from_unique'), models.CheckConstraint(condition=models.Q(('to_offset__gt', models.F('from_offset'))), name='bus_batch_range_ordered'), models.CheckConstraint(condition=models.Q(('records', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('applied'), '+', models.F('duplicates')), '+', models.F('foreign_records')), '+', models.F('mismatching')))), name='bus_batch_counts_balance')],
            },
        ),
        migrations.AddConstraint(
            model_name='attempt',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['PREPARED', 'UNKNOWN', 'UNDECIDABLE'])), fields=('transactional_id',), name='attempt_one_unsettled'),
        ),
        migrations.AddConstraint(
            model_name='source',
            constraint=models.UniqueConstraint(fields=('cluster_id', 'topic_id', 'partition', 'stream', 'role'), name='source_incarnation_unique'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.UniqueConstraint(fields=('stream', 'run_id'), name='run_id_unique'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'OPEN')), fields=('stream',), name='run_one_open'),
        ),
        migrations.AddConstraint(
            model_name='eventclass',
            constraint=models.UniqueConstraint(fields=('stream', 'name'), name='event_class_name_unique'),
        ),
        migrations.AddConstraint(
            model_name='contract',
            constraint=models.UniqueConstraint(fields=('stream', 'version'), name='contract_version_unique'),
        ),
        migrations.AddConstraint(
            model_name='window',
            constraint=models.UniqueConstraint(fields=('run', 'number'), name='window_number_unique'),
        ),
        migrations.AddConstraint(
            model_name='window',
            constraint=models.UniqueConstraint(fields=('id', 'run'), name='window_run_unique'),
        ),
        migrations.AddIndex(
            model_name='quarantineitem',
            index=models.Index(condition=models.Q(('state', 'OPEN')), fields=['win', 'reason', 'id'], name='quarantine_open'),
        ),
        migrations.AddIndex(
            model_name='quarantineitem',
            index=models.Index(fields=['win', 'id'], name='quarantine_window'),
        ),
        migrations.AddConstraint(
            model_name='quarantineitem',
            constraint=models.UniqueConstraint(fields=('source', 'offset'), name='quarantine_place_unique'),
        ),
        migrations.AddConstraint(
            model_name='quarantineitem',
            constraint=models.UniqueConstraint(condition=models.Q(('reason', 50)), fields=('run_number', 'identity', 'payload_digest'), name='quarantine_mismatch_unique'),
        ),
        migrations.AddConstraint(
            model_name='quarantineitem',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('resolution', None), ('resolved_at', None), ('resolved_by', None), ('resolved_reason', None), ('state', 'OPEN')), models.Q(('resolution__isnull', False), ('resolved_at__isnull', False), ('resolved_by__regex', '\\S'), ('resolved_reason__regex', '\\S'), ('state', 'RESOLVED')), _connector='OR'), name='quarantine_resolution_names_person_and_reason'),
        ),
        migrations.AddIndex(
            model_name='position',
            index=models.Index(fields=['stream', 'lane'], name='position_stream_lane'),
        ),
        migrations.AddConstraint(
            model_name='position',
            constraint=models.CheckConstraint(condition=models.Q(('next_offset__gte', 0)), name='position_offset_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='position',
            constraint=models.CheckConstraint(condition=models.Q(('lane__in', ['admission', 'publish', 'effects'])), name='position_lane_known'),
        ),
        migrations.AddConstraint(
            model_name='controltotal',
            constraint=models.CheckConstraint(condition=models.Q(('declared__gte', 0)), name='control_total_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='contradiction',
            constraint=models.UniqueConstraint(fields=('source', 'offset', 'attempt', 'kind'), name='contradiction_unique'),
        ),
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(fields=['win', 'source', 'from_offset'], name='batch_window'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.UniqueConstraint(fields=('source', 'from_offset'), name='batch_from_unique'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.UniqueConstraint(fields=('source', 'to_offset'), name='batch_to_unique'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.CheckConstraint(condition=models.Q(('to_offset__gt', models.F('from_offset'))), name='batch_range_ordered'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.CheckConstraint(condition=models.Q(('records', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('admitted'), '+', models.F('duplicates')), '+', models.F('quarantined')))), name='batch_counts_balance'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.CheckConstraint(condition=models.Q(('records__lte', django.db.models.expressions.CombinedExpression(models.F('to_offset'), '-', models.F('from_offset')))), name='batch_records_fit_range'),
        ),
        migrations.AddConstraint(
            model_name='windowrange',
            constraint=models.CheckConstraint(condition=models.Q(('end_offset__isnull', True), ('end_offset__gte', models.F('start_offset')), _connector='OR'), name='window_range_ordered'),
        ),
        migrations.AddIndex(
            model_name='publishqueue',
            index=models.Index(fields=['source', 'from_offset'], name='publish_queue_order'),
        ),
    ]
