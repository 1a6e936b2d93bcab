"""Shipped configs are found from any folder, and a file of the user's comes first."""

from pathlib import Path

import pytest

from runkit.shipped import config_folder, or_shipped


def test_shipped_configs_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = Path("configs/model-5m.yaml")
    assert or_shipped(named) == config_folder() / "model-5m.yaml" and or_shipped(named).is_file()
    for other in ("model-5m.yaml", "other/configs/model-5m.yaml", "configs/model-6m.yaml"):
        assert or_shipped(Path(other)) == Path(other)  # said to be missing where it is read
    named.parent.mkdir()
    named.write_text("steps: 1\n")
    assert or_shipped(named) == named
