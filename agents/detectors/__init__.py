"""One file per detector: each looks at one thing and yields observations.

Law: detectors import no other detector, know nothing of the network, and never change
what they look at. Timing, isolation and counting are the runner's business.
"""
