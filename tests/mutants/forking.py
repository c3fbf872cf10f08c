"""A plugin of pytest that runs no test by itself: it collects them, and forks a process for each question.

A forked process has imported everything and run nothing, so it is as fresh as one that was started. The function that a
change is in gets other code there, whoever holds it; named SQL gets another text. Asked and answered by lines of JSON,
on the two file descriptors that `PASSGATE_SURVEY_PIPES` names:

    {"path": "audit/gate.py", "function": "follow", "text": "...", "tests": ["tests/..."], "seconds": 90, "all": false}
    {"failed": {"tests/...": "why"}}

`tests` stand for all their parameters, unless one is named; without `all` it stops at the first that fails. With
`before`, the file's text of before, in place of `function` the change is in all functions that differ. `letters` says
how much is told of why a test failed. The answer is `{"late": true}` where the time was over, and `{"cannot": "why"}`
where the change is in no function that is there, but in what a module does while it is imported.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import inspect
import json
import os
import select
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

import pytest

PIPES = os.environ.get("PASSGATE_SURVEY_PIPES")
Asked = Mapping[str, Any]


class Cannot(Exception):
    """The change is in no function that is there to get other code."""


# ---- other code for what is there -----------------------------------------------------------------------------------


def give(path: str, function: str, text: str) -> None:
    """Makes the function, or the named SQL, what it is in `text`, the whole file's."""
    if path.endswith(".sql"):
        _give_sql(path, function, text)
    else:
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        give_code(sys.modules.get(name) or importlib.import_module(name), function, compile(text, path, "exec"))


def _give_sql(path: str, name: str, text: str) -> None:
    from ingest import db

    package, _, file = path.removesuffix(".sql").replace("/", ".").rpartition(".")
    parts = db._NAME.split(text)[1:]
    held = db.statements(package, file)
    held._texts[name] = dict(zip(parts[::2], parts[1::2], strict=True))[name].strip()


def give_code(module: object, function: str, code: CodeType) -> None:
    there: object = module
    for name in filter(None, function.split(".")):
        if isinstance(there, FunctionType):
            break
        code = _code_of(code, name, there)
        there = _function(there, name)
    if not isinstance(there, FunctionType):
        raise Cannot(f"{function or 'the module'} is no function")
    if there.__code__.co_freevars != code.co_freevars:
        raise Cannot(f"{function} closes over other names then")
    there.__code__ = code.replace(co_filename=there.__code__.co_filename)


def _function(owner: object, name: str) -> object:
    """The function behind a property, a cache or another decorator that says what it wraps; or a class."""
    found = owner.__dict__.get(name)
    for _ in range(5):
        if isinstance(found, property):
            found = found.fget
        elif isinstance(found, staticmethod | classmethod):
            found = found.__func__
        elif isinstance(found, functools.cached_property):
            found = found.func
        elif hasattr(found, "__wrapped__"):
            found = found.__wrapped__
    return found


def _code_of(code: CodeType, name: str, owner: object) -> CodeType:
    found = _function(owner, name)
    named = [const for const in code.co_consts if isinstance(const, CodeType) and const.co_name == name]
    if isinstance(found, FunctionType):
        named = [const for const in named if const.co_firstlineno == found.__code__.co_firstlineno]
    if len(named) != 1:
        raise Cannot(f"{name} is there {len(named)} times")
    return named[0]


# ---- what differs ---------------------------------------------------------------------------------------------------


def differing(path: str, before: str, text: str) -> list[str]:
    """The functions, or the named SQL, in which two texts of a file differ.

    Raises:
        Cannot: they differ in what the module does while it is imported.
    """
    if path.endswith(".sql"):
        return _differing_sql(before, text)
    return list(_differing(compile(before, path, "exec"), compile(text, path, "exec"), ""))


def _differing_sql(before: str, text: str) -> list[str]:
    from ingest import db

    old, new = db._NAME.split(before), db._NAME.split(text)
    if old[0::2][:1] != new[0::2][:1] or old[1::2] != new[1::2]:
        raise Cannot("other named SQL is there")
    return [name for name, was, is_now in zip(old[1::2], old[2::2], new[2::2], strict=True) if was != is_now]


def _differing(old: CodeType, new: CodeType, prefix: str) -> Iterator[str]:
    """Of a module or a class: what is done there itself must be the same, constants and defaults included."""
    if _outside(old) != _outside(new) or len(old.co_consts) != len(new.co_consts):
        raise Cannot(f"{prefix or 'the module'} does something else while it is imported")
    for was, is_now in zip(old.co_consts, new.co_consts, strict=True):
        if not isinstance(was, CodeType) or not isinstance(is_now, CodeType):
            if type(was) is not type(is_now) or was != is_now:
                raise Cannot(f"{prefix or 'the module'} has another constant")
        elif _whole(was) != _whole(is_now):
            name = f"{prefix}.{was.co_name}".strip(".")
            if was.co_flags & inspect.CO_OPTIMIZED:
                yield name
            else:
                yield from _differing(was, is_now, name)


def _outside(code: CodeType) -> tuple[object, ...]:
    """All of a code object but its constants and the lines it stands on."""
    shape = (code.co_name, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return (
        *shape,
        code.co_code,
        code.co_exceptiontable,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
    )


def _whole(code: CodeType) -> tuple[object, ...]:
    return (_outside(code), tuple(_whole(c) if isinstance(c, CodeType) else (type(c), c) for c in code.co_consts))


# ---- a process for each question ------------------------------------------------------------------------------------


class Answerer:
    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.items: dict[str, list[pytest.Item]] = defaultdict(list)
        for item in session.items:
            for name in {item.nodeid, item.nodeid.split("[")[0]}:
                self.items[name].append(item)

    def answer(self, asked: Asked) -> dict[str, Any]:
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reads)
            self._be(asked, writes)
        os.close(writes)
        told = _read(reads, time.monotonic() + asked["seconds"])
        os.close(reads)
        for kill in (os.killpg, os.kill):  # what a test started and left goes too
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return {"late": True} if told is None else json.loads(told or '{"failed": {"": "it ended"}}')

    def _be(self, asked: Asked, writes: int) -> None:
        try:
            os.setsid()
            answer = self._tried(asked)
        except Cannot as cannot:
            answer = {"cannot": str(cannot)}
        except BaseException as error:  # noqa: BLE001 - a change may raise anything, anywhere
            answer = {"failed": {"": repr(error)}}
        os.write(writes, json.dumps(answer).encode()[:60_000] + b"\n")
        os._exit(0)

    def _tried(self, asked: Asked) -> dict[str, Any]:
        if asked.get("text"):
            functions = [asked["function"]] if "function" in asked else []
            for function in functions or differing(asked["path"], asked["before"], asked["text"]):
                give(asked["path"], function, asked["text"])
        _failed.clear()
        global _letters
        _letters = asked.get("letters", _letters)
        unknown = [test for test in asked["tests"] if test not in self.items]
        if unknown:
            raise Cannot(f"{unknown[0]} was not collected")
        items = [item for test in asked["tests"] for item in self.items[test]]
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if _failed and not asked.get("all"):
                break
        return {"failed": _failed}


def _read(pipe: int, until: float) -> bytes | None:
    """All that is written; None where that is not over at `until`."""
    told = b""
    while (left := until - time.monotonic()) > 0:
        if select.select([pipe], [], [], left)[0]:
            part = os.read(pipe, 65_536)
            told += part
            if not part or told.endswith(b"}\n"):
                return told
    return None


_failed: dict[str, str] = {}
_letters = 300

if PIPES:

    def pytest_runtest_logreport(report: pytest.TestReport) -> None:
        if report.failed:
            said = "\n".join((*(f"{name}\n{text}" for name, text in report.sections), str(report.longrepr)))
            _failed.setdefault(report.nodeid.split("[")[0], said[-_letters:])

    def pytest_runtestloop(session: pytest.Session) -> bool:
        if session.testsfailed:  # to be collected
            return True
        reads, writes = map(int, str(PIPES).split(","))
        answerer = Answerer(session)
        gc.collect()
        gc.freeze()
        with os.fdopen(reads) as questions, os.fdopen(writes, "w") as answers:
            for line in _lines(questions, answers):
                answers.write(json.dumps(answerer.answer(json.loads(line))) + "\n")
                answers.flush()
        return True


def _lines(questions: Any, answers: Any) -> Iterator[str]:
    answers.write('{"ready": true}\n')
    answers.flush()
    yield from questions
