"""Weather."""


def fahrenheit(celsius: float) -> float:
    """Convert a temperature from degrees Celsius."""
    return celsius * 9 / 5 + 32
