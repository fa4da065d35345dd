r"""Regular expressions of schemas (`pattern`, `patternProperties`) in the syntax of llguidance.

The languages of regular expressions differ. What is generated must match in ECMAScript, which JSON
schema prescribes, and in Python, so `\d`, `\w`, `\s`, `.` and their negations stand for characters
on which the two agree, and what only Rust's syntax knows (`&&`, nested classes) is escaped.

llguidance 1.9 writes a class in JSON with all escapes if it has any control character: `[^"]` would
allow `\"`. Such a class is split here, its control characters apart from its others.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import regex

from models.grammars.json_schema.errors import Findings, UnenforceableError
from models.grammars.json_schema.nodes import Node, map_nodes

_TOKENS = re.compile(
    r"""
    (?P<class>\[\^?(?:\\.|[^\]\\])*\])
    | (?P<escape>\\(?:[pP]\{[^}]*\}|[pP].|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.))
    | (?P<possessive>(?:[*+?]|\{\d+(?:,\d*)?\})\+)
    | (?P<dot>\.)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ATOMS = re.compile(r"\\(?:[pP]\{[^}]*\}|[pP].|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)|.", re.DOTALL)
_CONTROLS = "".join(map(chr, range(0x20)))
_USUAL_CONTROLS = "\t\n\r"
_QUOTES = '"\\'
_SPACES = r"\t\n\x0b\x0c\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_ALL_SPACES = _SPACES + r"\x1c-\x1f\x85\ufeff"
_WORD = "0-9A-Za-z_"
_ALL_WORD = r"\p{L}\p{N}\p{M}\p{Pc}"
_INCLUDED = {
    r"\d": "0-9",
    r"\w": _WORD,
    r"\s": _SPACES,
    r"\D": r"[^\p{Decimal_Number}]",
    r"\W": f"[^{_ALL_WORD}]",
    r"\S": f"[^{_ALL_SPACES}]",
}
"""Characters on which ECMAScript and Python agree that they are in a class."""
_EXCLUDED = {
    r"\d": r"\p{Decimal_Number}",
    r"\w": _ALL_WORD,
    r"\s": _ALL_SPACES,
    r"\D": "[^0-9]",
    r"\W": f"[^{_WORD}]",
    r"\S": f"[^{_SPACES}]",
}
"""Characters that either of them has in a class; they are left out of a negated one."""
_ANY = r"\x00-\U0010ffff"
_LINE_ENDS = r"\n\r\u2028\u2029"


@dataclass(frozen=True, slots=True)
class _Class:
    """Class of characters: its text in Rust's syntax, and which ASCII characters it has."""

    text: str
    original: str

    def has(self, character: str) -> bool:
        return regex.fullmatch(self.original, character, regex.V0) is not None


def rewrite_patterns(node: Node, path: str, findings: Findings) -> Node:
    """Return a schema with its `pattern` and `patternProperties` in the syntax of llguidance."""
    rewritten = dict(node)
    if isinstance(node.get("pattern"), str):
        findings.count_classes(node["pattern"])
        try:
            rewritten["pattern"] = rewrite_pattern(node["pattern"])
        except UnenforceableError as error:
            findings.add(f"{path}.pattern", str(error))
            del rewritten["pattern"]
    if isinstance(node.get("patternProperties"), dict):
        findings.count_classes("".join(node["patternProperties"]))
        try:
            rewritten["patternProperties"] = {
                rewrite_pattern(name): value for name, value in node["patternProperties"].items()
            }
        except UnenforceableError as error:
            findings.add(f"{path}.patternProperties", str(error))
            del rewritten["patternProperties"]
    return rewritten


def without_patterns(schema: Node) -> Node:
    """Return a schema without its regular expressions."""

    def visit(node: Node, _: str) -> Node:
        names = ("pattern", str), ("patternProperties", dict)
        dropped = {name for name, kind in names if isinstance(node.get(name), kind)}
        return {name: value for name, value in node.items() if name not in dropped}

    return map_nodes(schema, visit)


@lru_cache(maxsize=1024)
def rewrite_pattern(pattern: str) -> str:
    """Return a client's pattern for llguidance; raise `UnenforceableError` if it has none."""
    try:
        regex.compile(pattern, regex.V0)
    except regex.error as error:
        raise UnenforceableError(f"the pattern {_shown(pattern)} is not valid: {error}") from None
    return "".join(_rewrite(found, pattern) for found in _TOKENS.finditer(pattern))


def _rewrite(found: re.Match[str], pattern: str) -> str:
    text = found[0]
    match found.lastgroup:
        case "class":
            return _split(_Class(_class_text(text, pattern), text))
        case "escape" if text in _INCLUDED:
            return _split(_Class(f"[{_INCLUDED[text]}]", text))
        case "escape" if text[1] in "pP":
            return _split(_Class(f"[{text}]", text))
        case "escape" if text in (r"\<", r"\>"):
            reason = (
                f"the pattern {_shown(pattern)} has {text}, which is the edge of a word to some"
            )
            raise UnenforceableError(reason)
        case "escape" if not text[1].isalnum():
            return _hex(text[1]) if text[1].isascii() else text[1]
        case "dot":
            # The same with the flag `s`: what is left out are ends of lines.
            return f"[^{_LINE_ENDS}]"
        case "possessive":
            reason = f"the pattern {_shown(pattern)} has a possessive quantifier, {text}"
            raise UnenforceableError(reason)
    return text


def _class_text(text: str, pattern: str) -> str:
    """Return a class in Rust's syntax."""
    is_negated = text.startswith("[^")
    inner = text[2 if is_negated else 1 : -1]
    if not inner or "[:" in inner:
        reason = "has a class that begins with ] or contains [:, which has no one meaning"
        raise UnenforceableError(f"the pattern {_shown(pattern)} {reason}")
    sets, atoms = _EXCLUDED if is_negated else _INCLUDED, _ATOMS.findall(inner)
    if any({small, small.upper()} <= set(atoms) for small in (r"\d", r"\w", r"\s")):
        return f"[^{_ANY}]" if is_negated else f"[{_ANY}]"
    parts, position = [], 0
    while position < len(atoms):
        atom, following = atoms[position], atoms[position + 1 : position + 3]
        is_range = len(following) == 2 and following[0] == "-" and not _is_set(atom, sets)
        if is_range and not _is_set(following[1], sets):
            parts.append(f"{_escaped(atom)}-{_escaped(following[1])}")
            position += 3
        else:
            parts.append(sets.get(atom) or _escaped(atom))
            position += 1
    return f"[{'^' * is_negated}{''.join(parts)}]"


def _is_set(atom: str, sets: dict[str, str]) -> bool:
    return atom in sets or atom[:2] in (r"\p", r"\P")


def _escaped(atom: str) -> str:
    return f"\\{atom}" if atom in "[]&~-^" else atom


def _split(class_: _Class) -> str:
    """Return a class whose control characters are apart from its others, where that matters."""
    controls = [control for control in _CONTROLS if class_.has(control)]
    if not controls or all(class_.has(quote) for quote in _QUOTES):
        return class_.text
    usual = [control for control in controls if control in _USUAL_CONTROLS]
    if regex.search(rf"(?=[^\x00-\x1f]){class_.original}", _PROBE, regex.V0):
        others = f"[{class_.text}--[\\x00-\\x1f]]"
        return f"(?:{'|'.join([others, *map(_hex, usual)])})"
    # llguidance would join all of them to one class, which has the same fault.
    return f"(?:{'|'.join(map(_hex, usual or controls[:8]))})"


_PROBE = "".join(map(chr, [*range(0x20, 0x180), 0x3B1, 0x416, 0x4E00, 0x20AC, 0x2028, 0x1F600]))
"""Characters that are tried for membership in a class."""


def _hex(character: str) -> str:
    return f"\\x{ord(character):02x}"


def _shown(pattern: str) -> str:
    return repr(pattern if len(pattern) <= 80 else f"{pattern[:80]}…")
