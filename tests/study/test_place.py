"""Where workers meet: a run here and a run elsewhere that are not of one study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sfg_nas.errors import ConfigError
from sfg_nas.study import Study
from sfg_nas.study.courier import SharedFolder
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.place import _begin_or_join
from sfg_nas.study.provenance import begin_run

Make = Callable[..., Study]


@dataclass(frozen=True)
class FromElsewhere(SharedFolder):
    """Brings the file of a run that was begun elsewhere."""

    text: str

    def fetch(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text)


def test_the_run_here_is_left_as_it_is_where_the_one_elsewhere_is_of_another_study(
    make_study: Make, tmp_path: Path
) -> None:
    ours, theirs = make_study(), make_study({"search.seed": 7})
    begin_run(theirs, RunFiles(tmp_path / "theirs"))
    elsewhere = FromElsewhere((tmp_path / "theirs" / "study.yaml").read_text())
    files, empty = RunFiles(tmp_path / "ours"), RunFiles(tmp_path / "empty")
    begin_run(ours, files)
    kept = files.study.read_text()
    with pytest.raises(ConfigError, match=r"search\.seed: 7 -> 0"):
        _begin_or_join(ours, files, elsewhere)
    # Joined as what runs elsewhere, its trials would be told as those of the study here.
    with pytest.raises(ConfigError, match=r"search\.seed: 0 -> 7"):
        _begin_or_join(theirs, files, elsewhere)
    with pytest.raises(ConfigError, match=r"search\.seed: 7 -> 0"):
        _begin_or_join(ours, empty, elsewhere)
    assert files.study.read_text() == kept
    assert not empty.study.exists()
    _begin_or_join(theirs, empty, elsewhere)
    assert empty.study.read_text() == elsewhere.text
