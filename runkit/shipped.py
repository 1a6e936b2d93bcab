"""The config files that come along, wherever the toolkit is installed.

In: a path as a user writes it. Out: the same path, or that of the shipped file of this name: `configs/model-5m.yaml`,
as the documents name it, is found from any folder and also where there is only a wheel. A file of the user's comes
first.
"""

from pathlib import Path


def config_folder() -> Path:
    """Where the shipped yaml files lie: inside the installed package, or beside it in a checkout."""
    installed = Path(__file__).parent / "configs"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "configs"


def or_shipped(path: Path) -> Path:
    """`path`, unless nothing is there and it is `configs/NAME` of a shipped NAME."""
    ours = config_folder() / path.name
    return ours if path.parent == Path("configs") and not path.exists() and ours.is_file() else path
