"""The one time zone in which people read times."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from reelflow.errors import InputError
from reelflow.time_zones import machine_zone, shown, shown_zone, use_zone

THIS_YEAR = datetime.now(UTC).year


@pytest.fixture(autouse=True)
def _zone_as_before() -> Iterator[None]:
    yield
    use_zone(None)


@pytest.mark.parametrize(
    ("zone", "words"), [("Europe/Berlin", "1 Jul, 14:00 (Europe/Berlin)"), ("America/New_York", "1 Jul, 08:00 (Amer")]
)
def test_a_moment_is_shown_in_the_zone_of_its_reader(zone: str, words: str) -> None:
    """With summer time, the day of the week and the zone's name; a number is Unix seconds."""
    noon = datetime(THIS_YEAR, 7, 1, 12, tzinfo=UTC)

    use_zone(zone)

    assert shown(noon)[4:].startswith(words)
    assert shown(noon.timestamp()) == shown(noon)
    assert shown(noon).startswith(f"{noon:%a} ")


def test_a_moment_of_another_year_has_its_year() -> None:
    use_zone("UTC")

    assert shown(datetime(2001, 2, 3, 4, 5, tzinfo=UTC)) == "Sat 3 Feb 2001, 04:05 (UTC)"


def test_without_a_zone_it_is_this_machines() -> None:
    assert shown_zone().key == machine_zone()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("Berlin", "Unknown time zone 'Berlin'. Did you mean Europe/Berlin?"),
        ("Europe/Berlim", "Did you mean Europe/Berlin"),
        ("new york", "Did you mean America/New_York?"),
        ("qqqq", "Use a name such as Europe/Berlin."),
    ],
)
def test_an_unknown_zone_is_refused(wrong: str, words: str) -> None:
    """With the names that are like it."""
    with pytest.raises(InputError, match=re.escape(words)):
        use_zone(wrong)
