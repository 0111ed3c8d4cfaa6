"""Rollups that a lifecycle rule has archived: their content can't be read without a restore, their metadata can.

What certainly is in none of them is packed as ever. Everything else is left where it is, and told of: packing it could
pack it twice, and nothing proves that it may be deleted (docs/decisions/0012-archived-rollups.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from s3_log_roller.errors import ObjectArchived, StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.outline import Outline, decode_outline
from s3_log_roller.rollup.stored import Index, PackedFile, blaming, read_rollup


def read_indexes(group: DayGroup, rollups: Iterable[PackedFile]) -> tuple[list[Index], list[PackedFile]]:
    """The indexes of the day group's rollups, and the rollups that can't be read because they are archived.

    Whether one can be read is for S3 to say: those that were restored may list as archived.
    """
    indexes, archived = [], []
    for rollup in rollups:
        try:
            with blaming(rollup.store, rollup.listed):
                indexes.append(read_rollup(rollup.store, group, rollup.listed))
        except ObjectArchived:
            archived.append(rollup)
    return indexes, archived


def read_outlines(group: DayGroup, rollups: Sequence[PackedFile]) -> list[Outline | None]:
    """What the metadata of each of the day group's rollups tells; None for one whose metadata tells nothing.

    Raises `StorageError`.
    """
    outlines: list[Outline | None] = []
    for outline in try_outlines((group, rollup) for rollup in rollups):
        if isinstance(outline, StorageError):
            raise outline
        outlines.append(outline)
    return outlines


def try_outlines(rollups: Iterable[tuple[DayGroup, PackedFile]]) -> list[Outline | StorageError | None]:
    """The same for rollups of many day groups, asked for at once; where metadata can't be had, the error."""
    outlines: list[Outline | StorageError | None] = []
    for store, of_store in groupby(rollups, key=lambda pair: pair[1].store):
        pairs = list(of_store)
        answers = store.read_metadata(rollup.listed for _, rollup in pairs)
        for (group, _), metadata in zip(pairs, answers, strict=True):
            outlines.append(metadata if isinstance(metadata, StorageError) else decode_outline(metadata, group))
    return outlines


def without_uncertain(originals: Originals, outlines: Sequence[Outline | None]) -> Originals:
    """The originals that are certainly in none of these rollups."""
    if not outlines:
        return originals
    return originals.select(
        bytearray(
            not any(outline is None or outline.may_hold(original) for outline in outlines) for original in originals
        )
    )
