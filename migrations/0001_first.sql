-- All times are UTC milliseconds, all lengths of time milliseconds. A source that does not apply is ''.
PRAGMA application_id = 0x53656174;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- first_seq: the oldest poll whose readings can still be told; older rows wait for pruning.
CREATE TABLE source (
    id        INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL UNIQUE,
    last_seq  INTEGER NOT NULL,
    first_seq INTEGER NOT NULL DEFAULT 1,
    memory    TEXT    NOT NULL
) STRICT;

-- The slot of a name is its index among its source's names, for ever.
CREATE TABLE user (
    source INTEGER NOT NULL REFERENCES source (id),
    slot   INTEGER NOT NULL,
    name   TEXT    NOT NULL,
    PRIMARY KEY (source, slot),
    UNIQUE (source, name)
) STRICT, WITHOUT ROWID;

-- changes, failed: see store/codec.rs.
CREATE TABLE poll (
    id       INTEGER PRIMARY KEY,
    source   INTEGER NOT NULL REFERENCES source (id),
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    elapsed  INTEGER NOT NULL,
    took     INTEGER NOT NULL,
    jump     INTEGER,
    skew     INTEGER,
    requests INTEGER NOT NULL,
    outcome  TEXT    NOT NULL CHECK (outcome IN ('complete', 'partial', 'failed')),
    asked    INTEGER NOT NULL,
    changed  INTEGER NOT NULL,
    fault    TEXT,
    failed   BLOB,
    changes  BLOB,
    UNIQUE (source, seq)
) STRICT;
CREATE INDEX poll_at ON poll (source, at);

CREATE TABLE keyframe (
    id       INTEGER PRIMARY KEY,
    source   INTEGER NOT NULL REFERENCES source (id),
    seq      INTEGER NOT NULL,
    readings BLOB    NOT NULL,
    UNIQUE (source, seq)
) STRICT;

CREATE TABLE checkpoint (
    source  INTEGER PRIMARY KEY REFERENCES source (id),
    seq     INTEGER NOT NULL,
    signals BLOB    NOT NULL
) STRICT;

-- The answers behind a poll's changes, kept for retention.requests.
CREATE TABLE reply (
    id      INTEGER PRIMARY KEY,
    source  INTEGER NOT NULL REFERENCES source (id),
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    replies BLOB    NOT NULL,
    UNIQUE (source, seq)
) STRICT;
CREATE INDEX reply_at ON reply (at);

-- The answers that breaches rest on, kept as long as events. A UUID is 16 bytes, anything else text.
CREATE TABLE evidence (
    source     INTEGER NOT NULL REFERENCES source (id),
    seq        INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    fetched_at INTEGER NOT NULL,
    request_id ANY,
    PRIMARY KEY (source, slot, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX evidence_at ON evidence (at);

CREATE TABLE alert (
    id      INTEGER PRIMARY KEY,
    rule    TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    state   TEXT    NOT NULL CHECK (state IN ('ok', 'pending', 'firing', 'recovering', 'closed')),
    episode TEXT,
    alert   TEXT    NOT NULL,
    UNIQUE (rule, source, kind, subject)
) STRICT;
CREATE INDEX alert_source ON alert (source);

CREATE TABLE episode (
    id           TEXT    PRIMARY KEY,
    rule         TEXT    NOT NULL,
    rule_version TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    severity     TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('ok', 'pending', 'firing', 'recovering', 'closed')),
    since        INTEGER NOT NULL,
    fired_at     INTEGER NOT NULL,
    ended_at     INTEGER,
    reason       TEXT,
    value        TEXT,
    "limit"      TEXT,
    acked_by     TEXT,
    acked_at     INTEGER,
    finding      TEXT,
    note         TEXT,
    detail       TEXT,
    blind        INTEGER NOT NULL
) STRICT;
CREATE INDEX episode_fired ON episode (fired_at);
CREATE INDEX episode_open ON episode (state) WHERE state IN ('firing', 'recovering');

-- Append-only; hash covers prev_hash and the row.
CREATE TABLE event (
    no        INTEGER PRIMARY KEY,
    id        TEXT    NOT NULL UNIQUE,
    episode   TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    event     TEXT    NOT NULL,
    prev_hash BLOB    NOT NULL,
    hash      BLOB    NOT NULL
) STRICT;
CREATE INDEX event_episode ON event (episode);
CREATE INDEX event_at ON event (at);

-- Append-only but for what became of it; hash covers prev_hash and what was asked.
CREATE TABLE act (
    no           INTEGER PRIMARY KEY,
    by           TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    act          TEXT    NOT NULL,
    episode      TEXT,
    notification TEXT,
    done         INTEGER,
    message      TEXT,
    taken_at     INTEGER,
    prev_hash    BLOB    NOT NULL,
    hash         BLOB    NOT NULL
) STRICT;
CREATE INDEX act_open ON act (no) WHERE done IS NULL;
CREATE INDEX act_episode ON act (episode);

-- The newest row of each chain, so that a cut tail shows.
CREATE TABLE chain (
    name TEXT    PRIMARY KEY CHECK (name IN ('event', 'act')),
    no   INTEGER NOT NULL,
    hash BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO chain VALUES ('event', 0, zeroblob(32)), ('act', 0, zeroblob(32));

-- Where pruning took rows out of a chain: the number and hash of the last one taken of each stretch.
CREATE TABLE anchor (
    chain     TEXT    NOT NULL REFERENCES chain (name),
    no        INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    pruned_at INTEGER NOT NULL,
    PRIMARY KEY (chain, no)
) STRICT, WITHOUT ROWID;

CREATE TABLE notification (
    no               INTEGER PRIMARY KEY,
    id               TEXT    NOT NULL UNIQUE,
    channel          TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('pending', 'waiting', 'sent', 'dead', 'superseded')),
    created_at       INTEGER NOT NULL,
    next_attempt_at  INTEGER NOT NULL,
    tries            INTEGER NOT NULL DEFAULT 0,
    crashes          INTEGER NOT NULL DEFAULT 0,
    attempts         INTEGER NOT NULL DEFAULT 0,
    first_attempt_at INTEGER,
    told             INTEGER NOT NULL DEFAULT 0,
    finished_at      INTEGER,
    accepted         TEXT    NOT NULL DEFAULT '[]',
    last_answer      TEXT,
    last_error       TEXT,
    superseded_by    TEXT,
    bytes            INTEGER NOT NULL,
    payload          BLOB    NOT NULL
) STRICT;
CREATE INDEX notification_open ON notification (channel, no) WHERE state IN ('pending', 'waiting');
CREATE INDEX notification_finished ON notification (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE notification_event (
    notification INTEGER NOT NULL REFERENCES notification (no) ON DELETE CASCADE,
    n            INTEGER NOT NULL,
    event        TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    episode      TEXT    NOT NULL,
    PRIMARY KEY (notification, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX notification_event_episode ON notification_event (episode, notification);

CREATE TABLE attempt (
    notification INTEGER NOT NULL REFERENCES notification (no) ON DELETE CASCADE,
    n            INTEGER NOT NULL,
    run          TEXT    NOT NULL,
    started_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    outcome      TEXT,
    status       INTEGER,
    note         TEXT,
    PRIMARY KEY (notification, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_open ON attempt (notification) WHERE ended_at IS NULL;

CREATE TABLE channel (
    name       TEXT    PRIMARY KEY,
    disabled   INTEGER NOT NULL DEFAULT 0,
    answer     TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    failing    INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    status   INTEGER,
    dead     INTEGER NOT NULL DEFAULT 0,
    last_error TEXT
) STRICT, WITHOUT ROWID;
