"""The medic's mind: `Medic.handle(event, now) -> list[Effect]`.

Law: sans-IO. No asyncio, sockets, files, clocks or randomness, and no third-party code:
the same events at the same times give the same effects, in the daemon and in a simulator.
Read in order: `events`, `liveness`, `conditions`, `diagnosis`, `runbooks`, `rails`,
`orders`, `planner`, `medic`.
"""
