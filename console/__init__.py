"""`pimedic`, the operator's command line: a client of the supervisor's API and of `provision`.

Law: imports only `common` and `provision`; speaks to the supervisor over HTTP alone.
"""
