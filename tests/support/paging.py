"""The listings of `Store`, for stores that list one page at a time."""

from __future__ import annotations

from collections.abc import Sequence

from s3_log_roller.errors import StorageError
from s3_log_roller.store import Level, Page, Pager


class PageByPage:
    """One listing after the other."""

    bucket: str

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        """See `ReadStore.list_page`."""
        raise NotImplementedError

    def next_pages(self, pagers: Sequence[Pager]) -> list[Page | StorageError]:
        """See `Store.next_pages`."""
        return [self._next_page(pager) for pager in pagers]

    def _next_page(self, pager: Pager) -> Page | StorageError:
        try:
            page = self.list_page(pager.prefix, pager.start_after)
            pager.take(page)
        except StorageError as error:
            return error
        return page

    def list_folders(self, prefix: str, start_after: str) -> Level:
        """What lies right under a prefix, found by listing all of it."""
        level = Level([], [])
        pager = Pager(self.bucket, prefix, start_after)
        while not pager.ended:
            page = self.list_page(prefix, pager.start_after)
            pager.take(page)
            for entry in page.objects:
                rest = entry.key[len(prefix) :]
                if "/" not in rest:
                    level.keys.append(entry.key)
                elif (folder := prefix + rest[: rest.index("/") + 1]) not in level.folders[-1:]:
                    level.folders.append(folder)
        return level
