from __future__ import annotations

import pytest
from rich.text import Text

from mlwf.tables.blocks import Block, block_markdown, render_block, stacked

WIDE = Block("A title", ": and more", ["name", "score", "interval"], [[Text("a"), Text("0.5"), Text("0.4 – 0.6")]])


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (24, "\nA title: and more\n  name  score   interval\n  a       0.5  0.4 – 0.6\n"),
        (23, "\nA title: and more\n            score\n  name   interval\n  a           0.5\n        0.4 – 0.6\n"),
    ],
    ids=["fits", "too narrow"],
)
def test_the_first_block_that_fits_is_shown(draw, width, told):
    assert draw(render_block(WIDE, stacked(WIDE, [0], [1, 2])), width) == told


def test_where_none_fits_the_last_is_shown(draw):
    narrow = Block("", "", ["", ""], [[Text("met"), Text("some words")]], n_words=2)
    assert draw(render_block(WIDE, narrow), 13) == "\nA title: and\nmore\n  met  some\n       words\n"


def test_markdown_escapes_all_but_the_label_that_must_not_be_missed():
    block = Block("<a>", "; tuned on the same rows", ["a|b"], [[Text("Tuned on the same rows*  ")]])
    assert block_markdown(block) == [
        "",
        "**&lt;a>**; **tuned on the same rows**",
        "",
        "| a\\|b |",
        "| --- |",
        "| **Tuned on the same rows**\\* |",
    ]
