"""Tests of the package."""

import unittest

import weather


class Temperatures(unittest.TestCase):
    """Tests of conversions."""

    def test_water_freezes(self) -> None:
        """Compare with the known temperature."""
        self.assertEqual(weather.fahrenheit(0), 32)
