"""Chat templates whose own control tokens are marked, and their rendering within limits."""

import time
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from jinja2 import Environment, nodes
from jinja2.visitor import NodeTransformer

Mark = Callable[[str], str]
CheckLength = Callable[[int], None]

MAX_CHARACTERS = 64 << 20
"""Maximum length of a rendered prompt; bodies of requests are shorter."""
MAX_CPU_S = 10.0
"""Maximum CPU time of a rendering in seconds."""

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_COMPOSE = "mark_composed"
"""Name of the function in compiled templates that marks tokens composed with a role."""
_PIECES_PER_CHECK = 256


class RenderLimitError(ValueError):
    """The prompt is too long."""


class MarkedTemplate:
    """Compiled chat template that writes marks for control tokens.

    Content is given to it as it is, so its conditions see the real text. Only where a template
    looks for a control token in content does it find none: content cannot contain any.
    """

    def __init__(
        self, environment: Environment, source: str, mark: Mark, check_length: CheckLength
    ) -> None:
        """Compile the template; raise `jinja2.TemplateError` if it is not valid.

        `check_length` is called with the number of characters of each prompt before its pieces are
        joined; it raises an error if they are too many.
        """
        self._mark = mark
        self._check_length = check_length
        tree = environment.parse(source)
        _Marker(mark).visit(tree)
        tree.set_environment(environment)
        names = environment.make_globals({_COMPOSE: self._mark_composed})
        code = environment.compile(tree)
        self._template = environment.template_class.from_code(environment, code, names)

    def render(self, **variables: Any) -> str:
        """Render the template; raise `RenderLimitError` if it takes too long or writes too much."""
        pieces: list[str] = []
        num_characters, deadline = 0, time.thread_time() + MAX_CPU_S
        for number, piece in enumerate(self._template.generate(**variables)):
            pieces.append(piece)
            num_characters += len(piece)
            is_late = number % _PIECES_PER_CHECK == 0 and time.thread_time() > deadline
            if is_late or num_characters > MAX_CHARACTERS:
                raise RenderLimitError(RenderLimitError.__doc__)
        self._check_length(num_characters)
        return "".join(pieces)

    def _mark_composed(self, are_roles: Sequence[bool], *parts: Any) -> str:
        """Join literals and roles, and mark the tokens in the result, such as `<|` + role + `|>`.

        If one of the values is no role after all, only tokens within literals are marked.
        """
        texts = list(map(str, parts))
        pairs = list(zip(are_roles, texts, strict=True))
        if all(text.lower() in _ROLES for is_role, text in pairs if is_role):
            return self._mark("".join(texts))
        return "".join(text if is_role else self._mark(text) for is_role, text in pairs)


class _Marker(NodeTransformer):
    """Transformer of a template's syntax tree: marks control tokens in everything literal."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        """Return the node, changed or replaced."""
        match node:
            case nodes.TemplateData(data=text):
                node.data = self._mark(text)
                return node
            case nodes.Const(value=str(text)):
                node.value = self._mark(text)
                return node
            case nodes.Call(node=nodes.Name(name=name)) if name == _COMPOSE:
                return node
            case nodes.Add():
                parts = [self.visit(part) for part in _compose(_operands(node))]
                return reduce(lambda left, right: nodes.Add(left, right, lineno=node.lineno), parts)
            case nodes.Output() | nodes.Concat():
                node.nodes = _compose(node.nodes)
        return self.generic_visit(node, *args, **kwargs)


def _operands(node: nodes.Expr) -> list[nodes.Expr]:
    """Return the operands of a chain of additions, from left to right."""
    if isinstance(node, nodes.Add):
        return [*_operands(node.left), *_operands(node.right)]
    return [node]


def _compose(parts: Sequence[nodes.Expr]) -> list[nodes.Expr]:
    """Join neighbouring literals and roles, of which a template may compose control tokens."""
    composed: list[nodes.Expr] = []
    run: list[nodes.Expr] = []
    for part in parts:
        if _is_literal(part) or _is_role(part):
            run.append(part)
        else:
            composed += [*_join(run), part]
            run = []
    return [*composed, *_join(run)]


def _join(run: list[nodes.Expr]) -> list[nodes.Expr]:
    """Return the parts as one expression; unchanged if there is no literal or only one part."""
    if len(run) < 2 or not any(map(_is_literal, run)):
        return run
    if all(map(_is_literal, run)):
        return [nodes.Const("".join(map(_text, run)), lineno=run[0].lineno)]
    lineno = run[0].lineno
    are_roles = nodes.Const(tuple(not _is_literal(part) for part in run), lineno=lineno)
    parts = [nodes.Const(_text(part), lineno=lineno) if _is_literal(part) else part for part in run]
    name = nodes.Name(_COMPOSE, "load", lineno=lineno)
    return [nodes.Call(name, [are_roles, *parts], [], None, None, lineno=lineno)]


def _is_literal(node: nodes.Expr) -> bool:
    return isinstance(node, nodes.TemplateData) or (
        isinstance(node, nodes.Const) and isinstance(node.value, str)
    )


def _text(node: nodes.Expr) -> str:
    return str(node.data if isinstance(node, nodes.TemplateData) else node.value)  # type: ignore[attr-defined]


def _is_role(node: nodes.Expr | None) -> bool:
    """Return True if an expression is likely to be a message's role; its value is checked later."""
    match node:
        case nodes.Getattr(attr="role") | nodes.Getitem(arg=nodes.Const(value="role")):
            return True
        case nodes.Name(name=name):
            return "role" in name
        case nodes.CondExpr(expr1=first, expr2=second):
            return all(
                _is_role(choice) or (choice and _is_literal(choice)) for choice in (first, second)
            )
        case nodes.Filter(node=inner, args=[], kwargs=[]):
            return _is_role(inner)
    return False
