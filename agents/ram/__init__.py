"""Running from memory: the agent's whole installation in a tmpfs, with a root of its own.

While an NFS root stalls, whoever touches it stands still: to import a module, to fault in a page
of a library, even to look up `/proc`, because the lookup begins in the stalled root. So the
agent copies its interpreter, its libraries and its code into memory, makes that its root, and
starts itself anew in there. The node's own root is then at `/host`.

`closure` says what belongs there, `image` writes it, `entry` goes in, `host` is the view from
inside.

Law: imports nothing else of the agent but what it puts into the image.
"""
