"""The demo and test cluster: a fake switch, virtual Pis with real agents, and faults on command.

Law: may import everything; nothing imports it. Fakes stand only for hardware.
"""
