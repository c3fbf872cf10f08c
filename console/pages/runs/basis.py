"""`…/basis`: what was processed, what is safe to replay now, and what the window stands on."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from audit.anchors import Act, SourceAccount, SourceReplay, WindowAccount, processed
from audit.core import anchors as a
from audit.core.generations import steps
from console import links
from console.pages.frame import contexts as c
from console.pages.frame.shell import STEADY, needs, page
from console.pages.runs import run_parts
from console.pages.runs.runs import scope_or_404
from console.permissions import Act as Permission
from console.reads import runs
from console.reads.anchors import replay_shown
from ingest.core.ids import WindowId

MOST_GAPS = 100
LOOKS = {
    a.Reach.ALL: "REPLAY ALL",
    a.Reach.FROM: "REPLAY FROM",
    a.Reach.NOTHING: "REPLAY NOTHING",
    a.Reach.EMPTY: "REPLAY EMPTY",
    a.Reach.UNMEASURED: "UNMEASURED",
}
MEASURED_BY = {"kafka": "by Kafka", "sample": "by a sample", "ledger": "by the ledger"}


@needs(Permission.LOOK)
def basis(request: HttpRequest, stream: str, run: str) -> HttpResponseBase:
    """The two answers of the window that is looked at, its basis in generations, and what differs from it now."""
    seen = scope_or_404(request, stream, run)
    account = processed(WindowId(seen.window.id)) if seen.window else None
    replay = replay_shown(account) if account else None
    context = c.BasisPage(
        strip=run_parts.strip(seen),
        tabs=run_parts.tabs(seen, "basis"),
        facts=_facts(seen, account) if account else (),
        accounts=tuple(_account(seen, each) for each in account.accounts) if account else (),
        gaps=_gaps(account) if account else (),
        more_gaps=_more_gaps(account) if account else 0,
        sentence=replay.sentence if replay else "",
        asked_at=replay.asked_at if replay else None,
        why=replay.why if replay else "",
        replays=tuple(_replay(each, replay.why) for each in replay.sources) if replay else (),
        generations=_generations(account) if account else (),
        differences=replay.differences if replay else None,
    )
    return page(request, "runs/basis", context, here="runs", pace=STEADY)


def _facts(seen: runs.Scope, account: WindowAccount) -> tuple[c.Fact, ...]:
    version = links.with_query(links.stream_url(seen.stream), version=account.contract_version)
    return (
        c.Fact("opened", account.opened.at, "time"),
        c.Fact("opened by", _who(account.opened)),
        *((c.Fact("cut", account.cut.at, "time"), c.Fact("cut by", _who(account.cut))) if account.cut else ()),
        *(() if account.cut else (c.Fact("cut", "not yet: what was processed so far"),)),
        c.Fact("contract", f"v{account.contract_version}", url=version),
        c.Fact("contract digest", account.contract_digest, "digest"),
    )


def _who(act: Act) -> str:
    return act.by or "nobody wrote it down"


def _account(seen: runs.Scope, account: SourceAccount) -> c.AccountRow:
    inbox = account.role == "inbox"
    query = f"source:{account.topic}/{account.partition}"
    return c.AccountRow(
        name=account.label,
        role=account.role,
        incarnation=f"{account.cluster_id}/{account.topic_id}" if account.kind == "topic" else account.topic_id,
        url=links.with_query(links.run_url(seen.stream, seen.run.name, "receipts"), q=query) if inbox else "",
        start=account.start,
        end=account.cut,
        read_to=account.read_to,
        records=account.records if inbox else None,
        admitted=account.admitted if inbox else None,
        duplicates=account.duplicates if inbox else None,
        quarantined=account.quarantined if inbox else None,
        gaps=account.gaps.offsets,
        unproven=account.gaps.claimed,
        deleted=account.gaps.deleted,
        unread=account.unread,
        unaccounted=account.unaccounted,
        batches=account.batches if inbox else None,
        root=account.root or "",
        last_at=account.last_at,
    )


def _gaps(account: WindowAccount) -> tuple[c.GapRow, ...]:
    rows = [
        c.GapRow(each.label, gap.start, gap.end, gap.state, gap.why, _proof(gap.proof), gap.proven_at)
        for each in account.accounts
        for gap in each.gaps.first
    ]
    return tuple(rows[:MOST_GAPS])


def _proof(proof: object) -> str:
    """What the second reader wrote down: how it read, and how far; of what is gone where the log began."""
    if not isinstance(proof, dict):
        return ""
    if "log_start_after" in proof:
        stands = f"receipts stand in for {proof.get('receipts', '?')}, {proof.get('empty', '?')} held no record"
        return f"the log began at {proof.get('log_start_before', '?')}, then at {proof['log_start_after']}; {stands}"
    return f"{proof.get('reader', '?')} reader, {proof.get('isolation', '?')}, read to {proof.get('read_to', '?')}"


def _more_gaps(account: WindowAccount) -> int:
    return sum(each.gaps.number for each in account.accounts) - len(_gaps(account))


def _replay(replay: SourceReplay, for_all: str) -> c.ReplayRow:
    """`for_all`: a reason that the page says once, above."""
    anchor, stand_ins = replay.anchor, replay.stand_ins
    return c.ReplayRow(
        name=anchor.source.label,
        state=LOOKS[anchor.reach],
        word=a.said(anchor),
        start=anchor.source.start,
        end=anchor.source.end,
        gone=anchor.gone,
        least=anchor.reach is a.Reach.UNMEASURED,
        receipts=stand_ins.receipts if stand_ins else None,
        gaps=stand_ins.gaps if stand_ins else None,
        neither=stand_ins.neither if stand_ins else None,
        why="; ".join(why for why in anchor.why if why != for_all),
        measured_at=anchor.measured_at,
        measured_by=MEASURED_BY.get(anchor.measured_by, ""),
    )


def _generations(account: WindowAccount) -> tuple[c.GenerationRow, ...]:
    found = zip(account.generations, steps(account.generations), strict=True)
    return tuple(
        c.GenerationRow(each.number, each.digest, each.why, each.recorded_at, differences)
        for each, differences in found
    )[::-1]
