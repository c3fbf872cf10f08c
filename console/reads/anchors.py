"""A window's replay anchors for a page: Kafka is asked beside the request, and never waited for longer than a moment.

What was answered last is shown meanwhile, with its age; without that, what Kafka would say is unmeasured.
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import TimeoutError as NotYet

from audit.anchors import Replay, WindowAccount, replay, unasked
from console.reads.beside import Asker
from ingest.core.ids import WindowId

#: How long a page waits with, and without, an answer that is young enough to be shown at once, in seconds.
MOMENT, PATIENCE = 0.1, 1.0
#: Until when an answer is young: an open page asks every 5 s. And until when it is shown where no other comes.
YOUNG, USABLE = 6.0, 30.0
MOST_KEPT = 200
NOT_YET = "Kafka has been asked, and has not answered yet"

_asker: Asker[WindowId, Replay] = Asker("anchors", 4)
#: The newest answers of this process, the windows asked last.
_kept: OrderedDict[WindowId, Replay] = OrderedDict()


def replay_shown(window: WindowAccount) -> Replay:
    """What is safe to replay of the window, as young as a page can have it. Raises what asking raised."""
    kept = _kept.get(window.win)
    age = (window.at - kept.at).total_seconds() if kept is not None else USABLE
    question = _asker.asked(window.win, lambda: _asked(window))
    try:
        return question.answer.result(timeout=MOMENT if age < YOUNG else question.patience(PATIENCE))
    except NotYet:
        return kept if kept is not None and age < USABLE else unasked(window, NOT_YET)


def _asked(window: WindowAccount) -> Replay:
    answer = replay(window)
    _kept[window.win] = answer
    _kept.move_to_end(window.win)
    if len(_kept) > MOST_KEPT:
        _kept.popitem(last=False)
    return answer
