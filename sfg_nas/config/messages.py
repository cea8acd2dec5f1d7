"""Pydantic's findings in the four parts of our messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sfg_nas.config.problems import Problem, describe
from sfg_nas.config.reader import KeyPath

_RULES = {
    "greater_than": "a value above {gt:g} is needed",
    "greater_than_equal": "a value of at least {ge:g} is needed",
    "less_than": "a value below {lt:g} is needed",
    "less_than_equal": "a value of at most {le:g} is needed",
    "literal_error": "one of {expected} is needed",
    "int_type": "a whole number is needed",
    "float_type": "a number is needed",
    "finite_number": "a finite number is needed",
    "bool_type": "true or false is needed",
    "string_type": "text is needed",
    "tuple_type": "a list is needed",
    "dict_type": "a mapping is needed",
    "model_type": "a mapping of keys is needed",
    "string_pattern_mismatch": "text like {pattern} is needed",
    "too_short": "at least {min_length} entries are needed",
}
_TYPES = frozenset({"int_type", "float_type", "bool_type"})


def problem_of(
    error: Mapping[str, object],
    where: Callable[[KeyPath], str],
    advice: Callable[[KeyPath], str],
) -> Problem:
    """Return one item of `ValidationError.errors()` as a problem.

    Args:
        error: The item.
        where: Says where a key path was written.
        advice: Says what to write instead of an unknown key.
    """
    path, kind = _path(error), error["type"]
    context = _context(error)
    if kind == "rule":
        key = str(context["key"])
        at = where((*path, key) if key else path)
        return Problem(at, *(str(context[part]) for part in ("rule", "found", "do")))
    if kind == "extra_forbidden":
        rule = "only known keys may stand here"
        return Problem(where(path), rule, f"`{path[-1]}`", advice(path))
    if kind == "missing":
        rule = f"`{path[-1]}` is required"
        return Problem(where(path), rule, "nothing", f"add `{path[-1]}: ...`")
    found = describe(error["input"])
    quoted = kind in _TYPES and found.endswith("(text)")
    do = "remove the quotes, or write the value as it is needed" if quoted else "correct the value"
    return Problem(where(path), rule_of(error), found, do)


def rule_of(error: Mapping[str, object]) -> str:
    """Return the rule that an item of `ValidationError.errors()` broke.

    Args:
        error: The item.
    """
    kind, context = str(error["type"]), _context(error)
    if kind == "rule":
        return str(context["rule"])
    return _RULES[kind].format(**context) if kind in _RULES else str(error["msg"])


def _path(error: Mapping[str, object]) -> KeyPath:
    path = error["loc"]
    return path if isinstance(path, tuple) else ()


def _context(error: Mapping[str, object]) -> dict[str, object]:
    context = error.get("ctx")
    return context if isinstance(context, dict) else {}
