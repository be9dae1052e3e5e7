"""What people and machines see on :8800.

Law: reads come from a snapshot of the core; writes become events for it. Nothing here acts.
"""
