"""Every detector and treatment this agent has: the one place to add a line to."""

from collections.abc import Callable

from agents.clock_offset import Estimate
from agents.detector import Detector
from agents.detectors.clock import ClockSkew, ClockSync
from agents.detectors.hostname_resolves import HostnameResolves
from agents.detectors.read_only_mounts import ReadOnlyMounts
from agents.detectors.units import Units
from agents.kernel_messages import KernelMessages
from agents.settings import Settings
from agents.systemctl import Systemctl
from agents.treatment import Treatment
from agents.treatments.restart_unit import RestartUnit

DETECTOR_NAMES = tuple(
    kind.name for kind in (ReadOnlyMounts, ClockSkew, ClockSync, Units, HostnameResolves)
)


def detectors(
    settings: Settings, systemctl: Systemctl, clock: Callable[[], Estimate | None]
) -> list[Detector]:
    """Build the detectors that weren't switched off."""
    messages = KernelMessages(settings.kmsg)
    every: list[Detector] = [
        ReadOnlyMounts(settings.procfs, settings.mounts, settings.rootfs, messages),
        ClockSkew(clock, settings.clock_threshold_s),
        ClockSync(),
        Units(systemctl, settings.units),
        HostnameResolves(settings.procfs, settings.rootfs),
    ]
    return [detector for detector in every if detector.name not in settings.without]


def treatments(settings: Settings, systemctl: Systemctl) -> dict[str, Treatment]:
    """Build the allow-list of treatments, by name."""
    every: list[Treatment] = [RestartUnit(systemctl, settings.units)]
    return {treatment.name: treatment for treatment in every}
