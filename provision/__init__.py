"""Everything rendered from the inventory: DHCP, TFTP, NFS, hosts, ssh, Prometheus, K3s.

Law: rendering is a pure function from inventory to {path: text}; applying is separate.
"""
