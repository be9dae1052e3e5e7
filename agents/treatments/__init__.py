"""One file per treatment the agent may carry out: allow-listed, idempotent, with a deadline.

Law: treatments import no other treatment and never decide to run: a signed command does.
"""
