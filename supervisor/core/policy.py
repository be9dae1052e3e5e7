"""The core's tunables: plain figures, given once. Every duration is in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Defaults fit the real rack; `pimedic.toml` may change them."""

    beat_interval_s: float = 1.0
    min_patience_beats: float = 3.0
    """A heartbeat counts as lost only after at least this many intervals of silence..."""
    max_patience_beats: float = 12.0
    """...and surely after this many, however irregular the arrivals were before."""
    watch_after_beats: float = 1.2
    """A node whose beat is so late makes us look at the switch more often: a look costs little,
    and a power cut says nothing else..."""
    watch_s: float = 300.0
    """...for so long: what has been silent for longer isn't news."""
    evidence_ttl_s: float = 12.0
    """Older evidence proves nothing: the condition becomes unknown."""
    port_ttl_s: float = 30.0
    """The same for what the switch says of a port: it is asked less often, and answers slowly."""
    address_ttl_s: float = 1800.0
    """The same for where the switch saw a node's address: that is read every few minutes..."""
    fence_ttl_s: float = 30 * 3600.0
    """...and for the check of the whole way to a power act, which is made once a day."""
    confirmations: int = 2
    """How many probes in a row must agree before they make a condition true."""
    clear_s: float = 3.0
    """Symptoms must have been gone for this long before an untreated incident closes."""
    nap_s: float = 3.0
    """A longer silence between two events means that we ourselves slept: forgive everyone."""
    doubt_s: float = 15.0
    """For this long after such a nap nothing automatic is done."""
    max_unavailable: int = 2
    storm_fraction: float = 0.34
    storm_minimum: int = 3
    """Fewer sick independent nodes than this are never a storm."""
    warm_up_s: float = 30.0
    first_beat_s: float = 30.0
    """A node never heard since our start is awaited for this long: it may be booting with us."""
    boot_grace_s: float = 180.0
    cool_down_s: float = 180.0
    stagger_s: float = 5.0
    """At least this long between two starts, for the switch's inrush and login's TFTP..."""
    max_booting: int = 4
    """...and no more nodes than this on their way up at once."""
    cluster_budget: int = 12
    """Disruptive automatic actions in the whole cluster, per `cluster_window_s`."""
    cluster_window_s: float = 3600.0
    dependents_s: float = 180.0
    """How long a cured node's incident waits for its dependents before it closes without them."""
    idle_s: float = 900.0
    """A person is called when nothing could be done for an incident for so long."""
    retry_s: float = 10.0
    """Pause before an action that never got sent is tried again."""
