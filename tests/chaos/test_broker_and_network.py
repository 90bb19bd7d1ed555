"""Whatever the broker and the network do, every confirmed request ends in its right answer, and service is back."""

import pytest

from tests.chaos.faults import QUICK_FAULTS, SLOW_FAULTS, Fault
from tests.chaos.profile import Profile
from tests.chaos.rig import Rig


@pytest.mark.parametrize("fault", QUICK_FAULTS, ids=lambda fault: fault.kind)
def test_nothing_is_lost_and_service_is_back(rig: Rig, profile: Profile, fault: Fault) -> None:
    """Nothing is lost by faults that show themselves: a crash, a reset, an alarm, a short silence."""
    rig.load.flow.set()
    for _ in range(profile.faults):
        rig.pause(0.5, 2.5)
        fault.inflict(rig)
    rig.settle()


@pytest.fixture
def enough_time(fault: Fault, profile: Profile) -> None:
    """Skip what would make the short form long."""
    if fault.long_form and not profile.slow_faults:
        pytest.skip("in the long form only: make chaos SLOW=1")


@pytest.mark.parametrize("fault", SLOW_FAULTS, ids=lambda fault: fault.kind)
def test_nothing_is_lost_when_only_heartbeats_notice(
    enough_time: None, rig: Rig, profile: Profile, fault: Fault
) -> None:
    """Nothing is lost by silence: a half-open connection, a frozen broker, a paused daemon."""
    rig.load.flow.set()
    for _ in range(profile.slow_faults or 1):
        rig.pause(0.5, 2.5)
        fault.inflict(rig)
    rig.settle()
