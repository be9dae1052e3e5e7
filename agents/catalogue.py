"""Every detector and treatment this agent has: the one place to add a line to."""

from collections.abc import Callable

from agents.clock_offset import Estimate
from agents.detector import Detector
from agents.detectors.boot_history import BootHistory
from agents.detectors.clock import ClockSkew, ClockSync
from agents.detectors.clock_step import ClockStep
from agents.detectors.filesystem_errors import FilesystemErrors
from agents.detectors.hostname_resolves import HostnameResolves
from agents.detectors.k3s_api import K3sApi
from agents.detectors.kernel_image_readable import KernelImageReadable
from agents.detectors.kernel_log import KernelLog
from agents.detectors.pressure import Pressure
from agents.detectors.read_only_mounts import ReadOnlyMounts
from agents.detectors.root_stall import RootStall
from agents.detectors.throttling import Throttling
from agents.detectors.timezone import TimeZone
from agents.detectors.units import Units, UnitsOnBus
from agents.disk import Disk
from agents.kernel_messages import KernelMessages
from agents.lane import Lane
from agents.restarting import RestarterByProgram, RestarterOnBus
from agents.settings import Settings
from agents.systemctl import Systemctl
from agents.treatment import Treatment
from agents.treatments.agent_reboot import AgentReboot
from agents.treatments.fix_hosts import FixHosts
from agents.treatments.fix_kernel_image import FixKernelImage
from agents.treatments.look_at_peer import LookAtPeer
from agents.treatments.remount_rw import RemountRw
from agents.treatments.restart_unit import RestartUnit
from agents.treatments.set_time_sync import SetTimeSync
from agents.treatments.sysrq import Sysrq

DETECTOR_NAMES = tuple(
    kind.name
    for kind in (
        RootStall,
        ReadOnlyMounts,
        ClockSkew,
        ClockSync,
        Units,
        HostnameResolves,
        FilesystemErrors,
        KernelLog,
        ClockStep,
        TimeZone,
        KernelImageReadable,
        Throttling,
        Pressure,
        BootHistory,
        K3sApi,
    )
)


def detectors(
    settings: Settings,
    systemctl: Systemctl,
    disk: Disk,
    clock: Callable[[], Estimate | None],
) -> list[Detector]:
    """Build the detectors that weren't switched off. What lies on the root comes from `disk`."""
    messages = KernelMessages(settings.kmsg)
    every: list[Detector] = [
        RootStall(disk, settings.procfs),
        ReadOnlyMounts(settings.procfs, settings.mounts, settings.rootfs, messages, disk),
        ClockSkew(clock, settings.clock_threshold_s),
        ClockSync(disk),
        UnitsOnBus(settings.bus, settings.units)
        if settings.bus
        else Units(systemctl, settings.units),
        HostnameResolves(settings.procfs, disk),
        FilesystemErrors(settings.sysfs, messages),
        KernelLog(messages),
        ClockStep(),
        TimeZone(disk, settings.timezone),
        KernelImageReadable(disk),
        Throttling(settings.sysfs),
        Pressure(settings.procfs),
        BootHistory(settings.procfs, disk, settings.boot_history),
        K3sApi(settings.k3s_server, settings.k3s_credentials, settings.node),
    ]
    return [detector for detector in every if detector.name not in settings.without]


def treatments(settings: Settings, systemctl: Systemctl) -> dict[str, Treatment]:
    """Build the allow-list of treatments, by name. Raises `OSError`: no way to sysrq."""
    lane = Lane()  # one for all: should the root stall under a treatment, one thread hangs
    restarter = (
        RestarterOnBus(settings.bus) if settings.bus else RestarterByProgram(systemctl, lane)
    )
    trees = settings.procfs, settings.sysfs, settings.rootfs
    every: list[Treatment] = [
        RestartUnit(restarter, settings.units),
        FixHosts(settings.procfs, settings.rootfs, lane),
        FixKernelImage(settings.rootfs, lane),
        RemountRw(*trees, settings.mounts, lane, settings.host),
        LookAtPeer(settings.peers, settings.bind),
    ]
    if settings.bus:
        every += [SetTimeSync(settings.bus, settings.timezone), AgentReboot(settings.bus)]
    if settings.allow_sysrq:
        every.append(Sysrq(settings.procfs))
    return {treatment.name: treatment for treatment in every}
