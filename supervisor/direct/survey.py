"""What works with this switch, for `pimedic power validate`. Needs no journal, changes nothing.

With a port to exercise it switches that one off and on; the survey refuses one that is in use.
"""

from collections.abc import Sequence
from pathlib import Path

from common.fleet.orders import Found
from supervisor.actuators.power.choice import driver_of
from supervisor.actuators.power.survey import survey
from supervisor.daemon.assembly import patience_of
from supervisor.direct.opening import quiet_logs, read


async def survey_switch(config: Path, exercise: int | None) -> tuple[Sequence[Found], bool]:
    """Return what was found, and whether the switch can be relied on. Raises `NoWayError`."""
    quiet_logs()
    settings, cluster = read(config)
    driver = driver_of(settings, cluster)
    try:
        found = await survey(driver, cluster, patience_of(settings, cluster), exercise=exercise)
    finally:
        await driver.aclose()
    rows = [Found(one.subject, one.mark.value, one.text) for one in found.findings]
    return rows, found.is_usable
