from __future__ import annotations

import pytest

from relnox.core.text import format_count, join_names, replace_spans


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1_025_099, "1,025,099 files")]
)
def test_counts_have_the_singular_for_one_only(number: int, text: str) -> None:
    assert format_count(number, "file") == text


def test_long_listings_end_with_the_number_of_names_left_out() -> None:
    assert join_names("abcd") == "a, b, c, d"
    assert join_names("abcdefg") == "a, b, c, d and 3 more"


def test_parts_of_a_text_are_replaced_in_any_order_and_the_rest_stays() -> None:
    assert replace_spans("one two three", [(8, 13, "3"), (3, 3, ","), (0, 3, "1")]) == "1, two 3"
    assert replace_spans("unchanged", []) == "unchanged"
