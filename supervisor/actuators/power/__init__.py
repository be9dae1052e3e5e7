"""The strongest medicine: switching a port's power, safely.

Law: drivers speak to one kind of switch and nothing else; `service` alone owns the safety:
locks, journalled intents, protected ports, proof, reconciliation.
"""
