"""Paths and fixtures that all tests share."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "lib"))
sys.path.insert(0, str(ROOT / "tests"))
pytest.register_assert_rewrite("support")


@pytest.fixture(scope="session")
def shared():
    """The folder of shared frames, lists and references, beside the checkout or at $FRAMEMAKE_SHARED."""
    path = Path(os.environ.get("FRAMEMAKE_SHARED") or ROOT.parent / "shared")
    for part in ("frames", "channels"):
        if not (path / part).is_dir():
            pytest.skip(f"no shared data, $FRAMEMAKE_SHARED may name it: {path / part}")
    return path
