"""Tests that need the VideoSDK SDK: they are skipped where it is not installed."""

from importlib import metadata
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def installed() -> bool:
    try:
        metadata.version("videosdk-agents")
    except metadata.PackageNotFoundError:
        return False
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.sdk)
            if not installed():
                reason = "the VideoSDK SDK is not installed: pip install 'agent-workbench[sdk]'"
                item.add_marker(pytest.mark.skip(reason=reason))
