"""The schema, as steps. Step N brings a file from version N to N + 1; never edit one that shipped.

STRICT tables: a wrong type is an error when written, and not a surprise when read.
"""

# "pime" in ASCII: tells our files from other software's.
APPLICATION_ID = 0x70696D65

Step = tuple[str, ...]

MIGRATIONS: tuple[Step, ...] = (
    (
        """CREATE TABLE intents (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            op_id TEXT NOT NULL UNIQUE,
            action_id TEXT NOT NULL,
            node TEXT NOT NULL,
            port INTEGER NOT NULL,
            mac TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('cycle', 'off', 'on')),
            off_s REAL NOT NULL,
            requested_by TEXT NOT NULL,
            state TEXT NOT NULL,
            detail TEXT NOT NULL,
            boot_id TEXT NOT NULL,
            at_boottime REAL NOT NULL,
            wall TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX intents_by_state ON intents (state)",
        "CREATE INDEX intents_by_action ON intents (action_id)",
        """CREATE TABLE intent_steps (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            op_id TEXT NOT NULL REFERENCES intents (op_id) ON DELETE CASCADE,
            state TEXT NOT NULL,
            detail TEXT NOT NULL,
            boot_id TEXT NOT NULL,
            at_boottime REAL NOT NULL,
            wall TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX intent_steps_by_op ON intent_steps (op_id)",
        """CREATE TABLE timeline (
            seq INTEGER PRIMARY KEY,
            wall TEXT NOT NULL,
            boot_id TEXT NOT NULL,
            at_boottime REAL NOT NULL,
            kind TEXT NOT NULL,
            node TEXT NOT NULL,
            incident TEXT NOT NULL,
            text TEXT NOT NULL,
            data TEXT NOT NULL,
            hash TEXT NOT NULL
        ) STRICT""",
        # Where the kept part of the chain starts and ends; exactly one row.
        """CREATE TABLE timeline_ends (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            anchor_seq INTEGER NOT NULL,
            anchor_hash TEXT NOT NULL,
            head_seq INTEGER NOT NULL,
            head_hash TEXT NOT NULL
        ) STRICT""",
        "INSERT INTO timeline_ends VALUES (1, 0, '', 0, '')",
        """CREATE TABLE snapshots (
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            payload TEXT NOT NULL,
            PRIMARY KEY (kind, id)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE counters (
            name TEXT PRIMARY KEY,
            value INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
    ),
    # The ports that were on before an act, as `2,3`: what it hit beside its own has to come back.
    ("ALTER TABLE intents ADD COLUMN on_before TEXT NOT NULL DEFAULT ''",),
)
