"""What holds for every test: nothing of the user's own AWS set-up is seen, and Hypothesis is steady.

It lies here and not in tests/, so that the proofs and the tests share the fixtures of tests/support.
"""

from __future__ import annotations

import functools
import gc
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from s3_log_roller import log_output

if TYPE_CHECKING:
    from botocore.loaders import Loader
    from tests.support.browser import Browser

pytest.register_assert_rewrite("tests.support")
pytest_plugins = ["tests.support.servers", "tests.support.quick_server", "tests.support.fault_table"]

# No deadline for one example, nor for making some: the machines that run this differ too much. Each test has a timeout.
settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
# The same examples every time: a run that fails says something of the change it is about. `make prove` draws others.
settings.register_profile("roller", settings.get_profile("searching"), derandomize=True)
settings.load_profile("roller")


@pytest.fixture(scope="session", autouse=True)
def no_aws_settings_of_the_user() -> Iterator[None]:
    """No credentials, profiles, endpoints, proxies or instance metadata but those that a test sets itself."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith(("AWS_", "S3_LOG_ROLLER_")) or name.upper() in {
                "HTTP_PROXY",
                "HTTPS_PROXY",
                "ALL_PROXY",
            }:
                patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(autouse=True)
def log_levels_are_as_they_were() -> Iterator[None]:
    """A command that runs in this process sets them for all of it, and later tests look at what is logged."""
    names = ("", "s3_log_roller", log_output._ANSWERS, *log_output._NOISY)
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, logger.level) for logger in loggers]
    yield
    for logger, level in before:
        logger.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def aws_models_are_read_once() -> Iterator[None]:
    """botocore reads them for each session anew: 70 ms for one client, and the tests make more than a thousand."""
    import botocore.session

    loader_for = functools.cache(botocore.session.create_loader)

    def shared_loader(search_path: str | None = None) -> Loader:
        loader = loader_for(search_path)
        loader.search_paths[:] = dict.fromkeys(loader.search_paths)  # each session adds boto3's own once more
        return loader

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", shared_loader)
        yield


def pytest_collection_finish() -> None:
    """Take what was collected, which stays to the end, out of the garbage collector's sight: it looks again and again.

    A look at all of it takes 0.1 to 0.3 seconds.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with a profile of its own. Its library is imported only where it is used."""
    from tests.support.browser import browsing

    with browsing(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
