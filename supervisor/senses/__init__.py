"""How the supervisor perceives: each sense turns one kind of look at the world into observations.

Law: senses report raw facts; they conclude nothing and change nothing. They import neither
actuators nor the core's decisions (only its event types).
"""
