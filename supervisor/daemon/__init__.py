"""The shell around the core: turns the world into events, and effects into calls.

Law: decides nothing. `engine` is the loop, `memory` what outlives it, `acting` the hands,
`assembly` the one place where everything is joined.
"""
