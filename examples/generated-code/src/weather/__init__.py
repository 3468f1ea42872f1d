"""Weather of a few stations."""

from weather.stations import STATIONS


def height(station: str) -> int:
    """Return the height of a station in meters."""
    return STATIONS[station]
