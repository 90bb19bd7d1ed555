"""Fixtures of the chaos tier: the profile, one private node for all of it, a rig per test, figures to a file.

`make test` never comes here.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.cluster_rig import ClusterRig
from tests.chaos.profile import Profile
from tests.chaos.results import Results, append
from tests.chaos.rig import Rig
from tests.support.cluster import Cluster
from tools.rabbitmq import Node, install

PROFILE = pytest.StashKey[Profile]()
SECONDS = 1200  # one test's time limit in the short form


FIGURES = "figures"  # property of a test's report


def pytest_configure(config: pytest.Config) -> None:
    """Read the profile once: its seed may be drawn, and every process of the run must have the same."""
    config.stash[PROFILE] = profile = Profile.from_environment()
    os.environ["CHAOS_SEED"] = str(profile.seed)
    config.pluginmanager.register(Teller(config))


def pytest_report_header(config: pytest.Config) -> str:
    """Print what repeats this run."""
    profile = config.stash[PROFILE]
    return f"chaos: CHAOS_SEED={profile.seed} make chaos   # {profile}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every chaos test a time limit that grows with the profile."""
    limit = SECONDS * config.stash[PROFILE].scale
    for item in items:
        item.add_marker(pytest.mark.timeout(limit))


class Teller:
    """Prints the figures of each test as it ends, whichever process ran it: they are what the run is for."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test is over when its rig is down."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.when == "teardown" and terminal is not None:
            for name, line in report.user_properties:
                if name == FIGURES:
                    terminal.ensure_newline()
                    terminal.write_line(str(line))


@pytest.fixture(scope="session")
def profile(pytestconfig: pytest.Config) -> Profile:
    """How much chaos."""
    return pytestconfig.stash[PROFILE]


@pytest.fixture(scope="session")
def chaos_node() -> Iterator[Node]:
    """A node that the tests may kill, stop and freeze, and leave well."""
    with Node() as private:
        yield private


@pytest.fixture(scope="session")
def cluster(profile: Profile) -> Iterator[Cluster]:
    """Three nodes that the tests may hurt, and leave well."""
    if os.environ.get(install.VARIABLE) != "4.3":
        pytest.skip("three nodes are tried on RabbitMQ 4.3 only: make chaos BROKER=4.3")
    with Cluster(poll=profile.poll) as three:
        yield three


@pytest.fixture
def cluster_rig(cluster: Cluster, profile: Profile, tmp_path: Path, results: Results) -> Iterator[ClusterRig]:
    """A daemon that knows three nodes, under load that a test lets flow."""
    with ClusterRig(cluster, profile, tmp_path, results) as whole:
        yield whole


@pytest.fixture
def results(request: pytest.FixtureRequest, profile: Profile) -> Iterator[Results]:
    """This test's figures; added to the results file when the test ends, passed or not."""
    figures = Results(request.node.name, profile.seed, profile.command)
    failed = request.session.testsfailed
    yield figures
    figures.passed = request.session.testsfailed == failed
    request.node.user_properties.extend((FIGURES, f"{figures.test}: {line}") for line in figures.said)
    if profile.results:
        append(profile.results, figures)


@pytest.fixture
def rig(chaos_node: Node, profile: Profile, tmp_path: Path, results: Results) -> Iterator[Rig]:
    """A daemon behind a proxy, under load that a test lets flow."""
    with Rig([chaos_node], chaos_node, profile, tmp_path, results) as whole:
        yield whole
