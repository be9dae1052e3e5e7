"""Jen, the chat service: engine, OpenAI-compatible API, chat page.

Law: imports only `common`; never able to act on the cluster.
"""
