"""A slice of each subject with what a network makes of it; a study of volumes from search to pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sfg_nas.cli import run
from sfg_nas.data import write_phantoms

STUDY = """\
name: tiny
data:
  kind: volumes
  patch: [16, 16]
  patches: 16
  folds: 2
  validation: 1
  augment: [flip, affine]
backbone: {kind: highresnet, width: 0.25, depth: 2}
sharing: {start: {kind: near-shared}}
training: {epochs: 1, batch_size: 8}
search:
  trials: 1
  space:
    sharing.lambda2: {type: float, low: -1, high: 1}
retrain: {seeds: 1}
"""


def test_from_search_to_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_phantoms(tmp_path / "volumes", 4, size=32)
    (tmp_path / "tiny.yaml").write_text(STUDY, encoding="utf-8")
    places = ["--data-root", str(tmp_path), "--cache", str(tmp_path / "cache")]
    runs = ["--runs", str(tmp_path / "runs")]
    assert run(["search", str(tmp_path / "tiny.yaml"), *places, *runs]) == 0
    assert run(["retrain", str(tmp_path / "runs" / "tiny"), *places, *runs]) == 0
    (weights,) = tmp_path.glob("runs/tiny/retrained/*/0/architecture.json")
    capsys.readouterr()
    picture = tmp_path / "pictures" / "test.png"
    arguments = [str(weights.parent), *places, "--pictures", str(picture), "--json"]
    assert run(["evaluate", *arguments]) == 0
    values = json.loads(capsys.readouterr().out)
    stored = json.loads((weights.parent / "metrics.json").read_text(encoding="utf-8"))
    for name in ("ct/mae", "ct/mae/bone", "organs/dice", "organs/dice/bladder"):
        assert values[name] == pytest.approx(stored["test"][name], rel=1e-4)
    assert picture.stat().st_size > 10_000
    assert run(["evaluate", *arguments[:-3], "--pictures", "x.txt"]) == 2
    mr = tmp_path / "volumes" / "phantom-01" / "mr.nii.gz"
    assert run(["predict", str(weights.parent), str(mr), "--to", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "mr_ct.nii.gz",
        "mr_organs.nii.gz",
    }


def test_slices_show_the_organs_and_hide_what_lies_outside(tmp_path: Path) -> None:
    from torch import Tensor, cat, nn

    from sfg_nas.study import load_study, slice_views

    class Copy(nn.Module):
        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return {"ct": images, "organs": cat([images] * 5, dim=1)}

    write_phantoms(tmp_path / "volumes", 4, size=32)
    (tmp_path / "volumes" / "phantom-03" / "ct.nii.gz").unlink()
    (tmp_path / "tiny.yaml").write_text(STUDY, encoding="utf-8")
    study = load_study(tmp_path / "tiny.yaml", data_root=tmp_path, cache=tmp_path / "cache")
    views = [
        view
        for part in (study.data.train, study.data.validation, study.data.test)
        for view in slice_views(Copy(), study, part)
    ]
    assert sorted(view.subject for view in views) == [f"phantom-0{n}" for n in range(1, 5)]
    for view in views:
        assert (view.ct is None) == (view.subject == "phantom-03")
        assert view.labels is not None
        assert view.segmented is not None
        assert view.synthesised is not None
        outside = np.isnan(view.synthesised)
        assert 0.1 < outside.mean() < 0.9
        assert np.array_equal(outside, view.labels == -1)
        assert np.array_equal(outside, view.segmented == -1)
        assert (view.labels > 0).sum() > 10
