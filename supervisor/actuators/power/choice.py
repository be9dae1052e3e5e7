"""Which driver the settings mean. The only place that knows them all."""

from collections.abc import Callable, Mapping

from common.topology import Cluster
from supervisor.actuators.power.driver import PowerDriver
from supervisor.actuators.power.swctrl import SwctrlSettings
from supervisor.actuators.power.switch_shell import SwitchShellDriver
from supervisor.settings import Settings


def driver_of(settings: Settings, cluster: Cluster) -> PowerDriver:
    """Build the driver that `[switch] driver` names. Nothing is contacted yet.

    Drivers are imported when they are chosen: a Pi needn't carry pysnmp for a UniFi switch.
    """
    return _DRIVERS[settings.switch.driver](settings, cluster)


def _swctrl(settings: Settings, cluster: Cluster) -> PowerDriver:
    switch, given = cluster.switch, settings.switch
    return SwitchShellDriver(
        SwctrlSettings(
            address=switch.address,
            port=switch.ssh_port,
            user=switch.user,
            known_hosts=settings.credentials.switch_known_hosts,
            client_key=settings.credentials.switch_key,
            ports=switch.ports,
            atomic=given.atomic,
            poll_s=given.poll_s,
            settle_s=given.verify_timeout_s,
        )
    )


def _snmp(settings: Settings, cluster: Cluster) -> PowerDriver:
    from supervisor.actuators.power.snmp import SnmpDriver, SnmpSettings  # noqa: PLC0415

    given = settings.switch
    return SnmpDriver(
        SnmpSettings(
            address=cluster.switch.address,
            port=given.snmp.port,
            credentials=settings.credentials.switch_login,
            timeout_s=given.snmp.timeout_s,
            group=given.snmp.group,
            ports=cluster.switch.ports,
            poll_s=given.poll_s,
        )
    )


def _fence(settings: Settings, cluster: Cluster) -> PowerDriver:
    from supervisor.actuators.power.fence import FenceDriver, FenceSettings  # noqa: PLC0415

    given = settings.switch.fence
    if given is None:
        raise ValueError("no [switch.fence]")  # the settings' own check says it better
    return FenceDriver(
        FenceSettings(
            agent=given.agent,
            ports=tuple(node.port for node in cluster),
            options=given.options,
            credentials=settings.credentials.switch_login if given.login else None,
            plug=given.plug,
            parallel=given.parallel,
            status_s=given.status_s,
            switch_s=given.switch_s,
            poll_s=settings.switch.poll_s,
        )
    )


def _unifi(settings: Settings, cluster: Cluster) -> PowerDriver:
    from supervisor.actuators.power.unifi import UnifiDriver, UnifiSettings  # noqa: PLC0415

    del cluster
    given = settings.switch.unifi
    if given is None:
        raise ValueError("no [switch.unifi]")  # the settings' own check says it better
    return UnifiDriver(
        UnifiSettings(
            url=given.url,
            device=given.device,
            site=given.site,
            credentials=settings.credentials.switch_login,
            fingerprint=given.fingerprint,
            ca_file=given.ca_file,
            unifi_os=given.unifi_os,
            api=given.api,
            settle_s=settings.switch.verify_timeout_s,
        )
    )


_DRIVERS: Mapping[str, Callable[[Settings, Cluster], PowerDriver]] = {
    "swctrl": _swctrl,
    "snmp": _snmp,
    "fence": _fence,
    "unifi": _unifi,
}
