"""Write docs/cli.md, docs/api.md and docs/study.md from the code: `python docs/reference.py`, or `make docs`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer.main

FOLDER = Path(__file__).resolve().parent
MORE = {
    "sfg_nas.report": [
        "FIGURES",
        "draw_architecture",
        "plot_allocation",
        "interval",
        "results_table",
        "retrained_verdict",
        "to_dot",
        "verdict_of",
    ],
    "sfg_nas.data": ["DATASETS", "bundle_from_arrays"],
    "sfg_nas.backbones": ["BACKBONES"],
    "sfg_nas.baselines": ["BASELINES"],
    "sfg_nas.compare": ["Comparison", "compare"],
}
"""Public names of single stages that people use beside those of `sfg_nas` itself."""


def command_line() -> str:
    """Return the reference of the command line in Markdown."""
    from sfg_nas.cli.app import app

    root: Any = typer.main.get_command(app)
    parts = [
        "# The command line",
        "",
        "*Written by `docs/reference.py` from the code; `make docs` writes it anew.*",
        "",
        f"{root.help}",
        "",
        f"{root.epilog}",
        "",
    ]
    for name, command in root.commands.items():
        inner = getattr(command, "commands", {})
        for path, one in [(f"{name} {n}", c) for n, c in inner.items()] or [(name, command)]:
            parts += _command(path, one)
    return "\n".join(parts).rstrip() + "\n"


def _command(name: str, command: Any) -> list[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(["sfg-nas", name, *[_placeholder(p) for p in arguments], "[OPTIONS]"])
    parts = [f"## {name}", "", inspect.cleandoc(command.help or ""), "", f"    {usage}", ""]
    parts += ["| argument or option | meaning |", "|---|---|"]
    for parameter in [*arguments, *options]:
        shown = _placeholder(parameter) if parameter in arguments else _option(parameter)
        text = (getattr(parameter, "help", "") or "").replace("|", "\\|")
        parts.append(f"| `{shown}` | {text}{_default(parameter)} |")
    return [*parts, ""]


def _placeholder(parameter: Any) -> str:
    text = parameter.metavar or parameter.name.upper()
    bare = text.strip("[]").replace("|", "\\|") + ("..." if parameter.nargs == -1 else "")
    return bare if parameter.required else f"[{bare}]"


def _option(parameter: Any) -> str:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if parameter.is_flag:
        return names
    kind = parameter.type_descriptor.annotation
    choices = [str(choice) for choice in get_args(kind)]
    value = parameter.metavar or "|".join(choices) or getattr(kind, "__name__", "TEXT").upper()
    return f"{names} {value}".replace("|", "\\|")


def _default(parameter: Any) -> str:
    value = parameter.default
    plain = isinstance(value, str | int | float | Path) and not isinstance(value, bool)
    if not plain or getattr(parameter, "is_flag", False) or str(value) in ("", "."):
        return ""
    return f" Default: `{value}`."


def interface() -> str:
    """Return the reference of the Python interface in Markdown."""
    import sfg_nas

    parts = [
        "# The Python interface",
        "",
        "*Written by `docs/reference.py` from the docstrings; `make docs` writes it anew.*",
        "",
        "What is not here is internal and may change without notice.",
        "",
    ]
    modules = {"sfg_nas": list(sfg_nas.__all__), **MORE}
    for module, names in modules.items():
        parts += [f"## {module}", ""]
        for name in names:
            parts += _entry(module, name, getattr(import_module(module), name))
    return "\n".join(parts).rstrip() + "\n"


def _entry(module: str, name: str, value: Any) -> list[str]:
    if isinstance(value, Mapping):
        rows = [f"- `{key}`: {_first_line(entry)}" for key, entry in value.items()]
        return [f"### {name}", "", f"A registry, `from {module} import {name}`:", "", *rows, ""]
    head = [f"### {name}", "", f"    {name}{_signature(value)}", "", *_doc(value), ""]
    if inspect.isclass(value):
        for key, member in vars(value).items():
            public = not key.startswith("_") and (inspect.getdoc(member) or "")
            called = callable(getattr(value, key, None)) or isinstance(member, property)
            if public and called and not inspect.isclass(member):
                mark = "" if isinstance(member, property) else "()"
                head.append(f"- `{key}{mark}`: {_first_line(member)}")
        head.append("")
    return head


def _signature(value: Any) -> str:
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return ""
    # Defaults that are objects print their address or a folder of the machine.
    text = re.sub(r"<[^<>]*? at 0x[0-9a-f]+>", "...", text)
    text = re.sub(r"(Posix|Windows)Path\('([^']*)'\)", r"Path('\2')", text)
    return text.replace("'", "").replace("sfg_nas.", "")


def _first_line(value: Any) -> str:
    described = getattr(value, "caption", None) or inspect.getdoc(value) or ""
    return described.strip().split("\n")[0]


def _doc(value: Any) -> list[str]:
    """Return a docstring in Markdown: sections in bold, their entries as a list."""
    lines: list[str] = []
    listed = False
    for line in (inspect.getdoc(value) or "").splitlines():
        section = re.fullmatch(r"(Args|Returns|Raises|Attributes|Yields|Example):", line)
        if section:
            listed = section[1] in ("Args", "Raises", "Attributes")
            lines += [f"**{section[1]}**", ""]
        elif listed and (entry := re.fullmatch(r" {4}(\w+): (.*)", line)):
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        else:
            lines.append(line.removeprefix("    ") if line.startswith("    ") else line)
    return lines


HEAD = ("| key | default | meaning |", "|---|---|---|")
STUDY = """\
# The study file

*Written by `docs/reference.py` from the code; `make docs` writes it anew.*

A study file is YAML. `name`, `data.kind` and `backbone.kind` are needed; all else has a default. Unknown keys and values
out of range are refused, all at once. `sfg-nas validate STUDY --show` prints a study with every default in place, `--set
KEY=VALUE` gives a key another value for one call, and `sfg-nas init` writes studies to start from, with a JSON Schema for
editors. `null` is YAML's word for nothing.

A run goes on with the study it was begun with: only `search.trials`, `search.finals`, `retrain`, `compare` and `expected`
may change between two calls. For anything else give the study another `name`.

"""
SPACE = """\
## The search space

`search.space` is the name of a shipped space (`sfg-nas list spaces`), a file beside the study, or the entries themselves:
keys of this page (`training.learning_rate`, `sharing.start.split`, ...), each with what it may become.

| key | meaning |
|---|---|
| `type` | `float`, `int` or `categorical` |
| `low`, `high` | both ends of the range, which are possible values |
| `log` | true: spread over factors, for ranges of several powers of ten |
| `step` | only every such value |
| `choices` | the values of a `categorical` entry |
| `first` | a known good value: the candidate made of these is tried first |
| `when` | the entry exists only where another key has one of these values: `when: {sharing.start.kind: [branched]}` |
| `unit`, `note` | for the reader |
"""


def study_file() -> str:
    """Return the reference of the study file in Markdown."""
    from sfg_nas.config import StudyConfig
    from sfg_nas.data import DATASETS
    from sfg_nas.tasks import TASK_KINDS

    fields = StudyConfig.model_fields
    single = [_key(name, info) for name, info in fields.items() if _section(info) is None]
    parts = [STUDY, *HEAD, *single, ""]
    for name, info in fields.items():
        section = _section(info)
        if section is not None:
            inside = f"{name}.NAME." if name == "tasks" else f"{name}."
            parts += [
                f"## {name}",
                "",
                _about(section, info),
                "",
                *HEAD,
                *_keys(inside, section),
                "",
            ]
    parts += ["## Data sets", "", "What stands in `data` beside the keys above, with defaults.", ""]
    for name, load in DATASETS.items():
        parts += [f"### {name}", "", *_data_set(name, load), ""]
    parts += ["## Kinds of tasks", "", "In the `tasks` of a table, `kind`:", ""]
    parts += [f"- `{name}`: {_first_line(kind)}" for name, kind in TASK_KINDS.items()]
    return "\n".join([*parts, "", SPACE]).rstrip() + "\n"


def _section(info: Any) -> Any:
    """Return the section that a field stands for (`tasks`: of each of its entries), None if it is a plain value."""
    found = [info.annotation]
    while found:
        one = found.pop()
        if hasattr(one, "model_fields"):
            return one
        found += get_args(one)
    return None


def _about(section: Any, info: Any) -> str:
    return " ".join([_first_line(section), *filter(None, [info.description])])


def _keys(prefix: str, section: Any) -> list[str]:
    rows = []
    for name, info in section.model_fields.items():
        inner = _section(info)
        rows += [_key(prefix + name, info)] if inner is None else _keys(f"{prefix}{name}.", inner)
    return rows


def _key(name: str, info: Any) -> str:
    default = (
        "needed"
        if info.is_required()
        else f"`{_plain(info.get_default(call_default_factory=True))}`"
    )
    meaning = " ".join((info.description or "").split())
    choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
    if any(choice not in meaning for choice in choices):
        meaning = f"{', '.join(choices)}. {meaning}"
    return f"| `{name}` | {default} | {meaning} |"


def _data_set(name: str, load: Any) -> list[str]:
    """Return what a data set is, and its options with their defaults."""
    from sfg_nas.data import data_options

    text = (inspect.getdoc(load) or "").removeprefix("Return ")
    about, _, rest = text.partition("\n\nArgs:\n")
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", rest, flags=re.MULTILINE)
    said = {key: " ".join(meaning.split()).replace("None ", "null ") for key, meaning in entries}
    options = data_options(name).items()
    rows = [
        f"- `{key}` ({f'`{_plain(value)}`' if value != '' else 'needed'}): {said[key]}"
        for key, value in options
    ]
    return [about[:1].upper() + about[1:], "", *rows]


def _plain(value: Any) -> str:
    """Return a default as a study file would have it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


PAGES = {"cli.md": command_line, "api.md": interface, "study.md": study_file}


if __name__ == "__main__":
    for page, make in PAGES.items():
        (FOLDER / page).write_text(make(), encoding="utf-8")
