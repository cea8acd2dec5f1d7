"""The subjects of a folder, found by the patterns of their files' names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sfg_nas.errors import ConfigError, DataError, explain

FIELD = "{subject}"


@dataclass(frozen=True)
class SubjectFiles:
    """Where the volumes of one subject lie.

    Attributes:
        name: What stands for `{subject}` in the patterns.
        mr: The MR.
        ct: The CT, or None if the subject has none.
        labels: The label map, or None likewise.
    """

    name: str
    mr: Path
    ct: Path | None
    labels: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Give the files that there are."""
        return tuple(path for path in (self.mr, self.ct, self.labels) if path is not None)


def find_subjects(folder: Path, patterns: Mapping[str, str | None]) -> tuple[SubjectFiles, ...]:
    """Return the subjects of a folder in the order of their names.

    Args:
        folder: Where the patterns begin.
        patterns: Of `mr`, `ct` and `labels`, such as `{subject}/mr.nii.gz`; a `*` stands for anything within one name;
            None where no subject has such files.

    Raises:
        ConfigError: If a pattern is impossible.
        DataError: If there is no subject, one has a CT or labels but no MR, or several files for one pattern.
    """
    found = {
        what: dict(_matches(folder, what, pattern))
        for what, pattern in patterns.items()
        if pattern is not None
    }
    names = sorted({name for files in found.values() for name in files})
    if not names:
        rule = f"at least one file must match {patterns['mr']!r}"
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        do = "check data.folder and the patterns of the study"
        raise DataError(explain(where=str(folder), rule=rule, found=f"{there}, ...", do=do))
    lost = [name for name in names if name not in found["mr"]]
    if lost:
        raise DataError(
            "\n".join(
                explain(
                    where=f"subject {name}: {folder / str(patterns['mr']).replace(FIELD, name)}",
                    rule="each subject needs an MR",
                    found="no such file, but a CT or labels",
                    do="add it, or take the subject out of the folder",
                )
                for name in lost
            )
        )
    none: dict[str, Path] = {}
    return tuple(
        SubjectFiles(
            name,
            found["mr"][name],
            found.get("ct", none).get(name),
            found.get("labels", none).get(name),
        )
        for name in names
    )


def _matches(folder: Path, what: str, pattern: str) -> Iterator[tuple[str, Path]]:
    expression = _expression(what, pattern)
    seen: dict[str, Path] = {}
    for path in sorted(folder.glob(pattern.replace(FIELD, "*"))):
        match = expression.fullmatch(path.relative_to(folder).as_posix())
        if match is None or not path.is_file():
            continue
        name = match["subject"]
        if name in seen:
            raise DataError(
                explain(
                    where=f"subject {name}: {what}",
                    rule=f"one file must match {pattern!r}",
                    found=f"{seen[name]} and {path}",
                    do="write a narrower pattern",
                )
            )
        seen[name] = path
        yield name, path


def _expression(what: str, pattern: object) -> re.Pattern[str]:
    sound = isinstance(pattern, str) and FIELD in pattern and not Path(pattern).is_absolute()
    if not isinstance(pattern, str) or not sound or ".." in pattern or "**" in pattern:
        raise ConfigError(
            explain(
                where=f"data.{what}",
                rule="a pattern below the folder with {subject} in it is needed",
                found=repr(pattern),
                do="write one such as {subject}/" + what + ".nii.gz",
            )
        )
    first, *others = pattern.split(FIELD)
    text = _escaped(first) + r"(?P<subject>[^/]+)"
    return re.compile(text + r"(?P=subject)".join(_escaped(part) for part in others))


def _escaped(text: str) -> str:
    return re.escape(text).replace(r"\*", "[^/]*")
