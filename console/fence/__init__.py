"""`fence_pimedic`: the switch as a fence agent, for Pacemaker, Medik8s and whoever speaks that API.

Reference: ClusterLabs' FenceAgentAPI.md. Exit codes: 0 done (status: on), 2 status: off, 1 anything
else, so that no mistake is ever taken for "off".
"""
