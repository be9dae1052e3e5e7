"""A fake UniFi switch that behaves like the recorded transcripts: ports, `swctrl`, ssh, faults.

Law: knows nothing of pimedic; it tells whoever subscribed when a port's power changes.
"""
