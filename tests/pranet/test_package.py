"""The package's front door."""

import pytest

import pranet


def test_every_public_name_is_there() -> None:
    missing = [name for name in pranet.__all__ if not hasattr(pranet, name)]

    assert missing == []


def test_unknown_name_is_an_attribute_error() -> None:
    name = "nonsense"

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(pranet, name)
