"""Write docs/cli.md and docs/api.md from the code: `python docs/reference.py`, or `make docs`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import typer.main

FOLDER = Path(__file__).resolve().parent
MORE = {
    "sfg_nas.report": [
        "FIGURES",
        "draw_architecture",
        "plot_allocation",
        "results_table",
        "to_dot",
    ],
    "sfg_nas.data": ["DATASETS", "bundle_from_arrays"],
    "sfg_nas.backbones": ["BACKBONES"],
    "sfg_nas.baselines": ["BASELINES"],
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


PAGES = {"cli.md": command_line, "api.md": interface}


if __name__ == "__main__":
    for page, make in PAGES.items():
        (FOLDER / page).write_text(make(), encoding="utf-8")
