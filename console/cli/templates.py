"""Whether every template can be rendered at all, and read: it parses, what it names in so many words is there, and its
lines are short, with one block element each.

    python -m console.cli.templates

Django says nothing of a template before somebody opens its page, and a part of a rare page may wait for that long.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from django.template import Engine, Node, Template, TemplateDoesNotExist, TemplateSyntaxError

LONGEST_LINE = 120
_BLOCK = re.compile(
    r"<(html|head|body|header|footer|main|nav|section|div|p|h[1-6]|ul|ol|li|dl|dt|dd|table|caption|thead|tbody|tr|th|td|form"
    r"|fieldset|legend|details|summary|figure|figcaption|pre|dialog)\b"
)


def main() -> int:
    """Print what is wrong; the exit code is 1 where anything is."""
    import console.cli.ready  # noqa: F401  Django is set up by it

    found = list(faults(Engine.get_default()))
    for fault in found:
        click.echo(fault, err=True)
    return 1 if found else 0


def faults(engine: Engine) -> Iterator[str]:
    """One sentence each, for all templates in the folders of `engine`."""
    for folder in map(Path, engine.dirs):
        for file in sorted(folder.rglob("*.html")):
            yield from (f"{file}: {fault}" for fault in _faults(engine, file.relative_to(folder).as_posix()))
            yield from (f"{file}: {fault}" for fault in crowded(file.read_text(encoding="utf-8")))


def crowded(text: str) -> Iterator[str]:
    """Lines that are too long, or where more than one block element begins."""
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LONGEST_LINE:
            yield f"line {number}: {len(line)} characters, and {LONGEST_LINE} are the most"
        blocks = _BLOCK.findall(line)
        if len(blocks) > 1:
            yield f"line {number}: {' and '.join(f'<{name}>' for name in blocks)} begin there: one element a line"


def _faults(engine: Engine, name: str) -> Iterator[str]:
    try:
        template = engine.get_template(name)
    except TemplateSyntaxError as error:
        yield str(error)
        return
    for node in template.nodelist.get_nodes_by_type(Node):
        fault = _missing(engine, node)
        if fault:
            yield f"line {node.token.lineno if node.token else '?'}: {fault}"


def _missing(engine: Engine, node: Node) -> str:
    """Says what a node names and nobody has: a template, a page or a static file; "" for what is only known later."""
    kind = type(node).__name__
    if kind in ("IncludeNode", "ExtendsNode"):
        name = _constant(getattr(node, "template", None) or getattr(node, "parent_name", None))
        return f"there is no template {name}" if name and not _is_template(engine, name) else ""
    if kind == "URLNode":
        name = _constant(getattr(node, "view_name", None))
        return f"there is no page called {name}" if name and not _is_page(name) else ""
    if kind == "StaticNode":
        name = _constant(getattr(node, "path", None))
        return f"there is no static file {name}" if name and not _is_static(name) else ""
    return ""


def _constant(expression: Any) -> str:
    """The text of an expression that is one in quotation marks, else ""."""
    value = getattr(expression, "var", None)
    return value if isinstance(value, str) and not getattr(expression, "filters", ()) else ""


def _is_template(engine: Engine, name: str) -> bool:
    try:
        return isinstance(engine.get_template(name), Template)
    except TemplateDoesNotExist:
        return False
    except TemplateSyntaxError:
        return True  # said where it stands


def _is_page(name: str) -> bool:
    from django.urls import get_resolver

    *spaces, last = name.split(":")
    resolver = get_resolver()
    for space in spaces:
        if space not in resolver.namespace_dict:
            return False
        resolver = resolver.namespace_dict[space][1]
    return last in resolver.reverse_dict


def _is_static(name: str) -> bool:
    from django.contrib.staticfiles import finders

    return finders.find(name) is not None


if __name__ == "__main__":
    sys.exit(main())
