"""Files that are there whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONGEST_FILE_NAME = 200
"""In bytes: file systems take 255."""
LONGEST_SUFFIX = 20


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Give a path to write to; it becomes `target` when the block ends, and nothing when it raises.

    An OSError of the block names the target.
    """
    # Beside its goal, so that the last step is a rename within one file system; the suffix stays last, because some
    # libraries append their own to a name without it.
    name = target.name if len(os.fsencode(target.name)) <= LONGEST_FILE_NAME else ""
    draft = target.with_name(f".{name}.{secrets.token_hex(4)}{''.join(target.suffixes)[-LONGEST_SUFFIX:]}")
    try:
        yield draft
        draft.replace(target)
    except OSError as error:
        if error.filename is None or str(error.filename) == str(draft):
            error.filename, error.filename2 = str(target), None
        raise
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write a text file in UTF-8; lone surrogates, which UTF-8 has no bytes for, are escaped."""
    with writing(target) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
