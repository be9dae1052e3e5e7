"""How the supervisor acts: each actuator carries out one action and reports what came of it.

Law: an actuator never chooses what to do. It has a deadline, and says `unknown` when it
can't know what happened.
"""
