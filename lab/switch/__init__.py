"""A fake UniFi switch that behaves like the recorded transcripts: ports, `swctrl`, ssh, faults.

Law: knows nothing of pimedic; it tells whoever subscribed when a port's power changes.
Start with `server.FakeSwitch`; `ports` is the model, `ash` and `swctrl` the command line,
`session` the ssh side of one connection, `faults` what can go wrong.
"""
