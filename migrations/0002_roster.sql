-- Rosters where they changed: what each says of every slot, in runs; see store/roster.rs.
CREATE TABLE roster (
    source INTEGER NOT NULL REFERENCES source (id),
    seq    INTEGER NOT NULL,
    users  BLOB    NOT NULL,
    PRIMARY KEY (source, seq)
) STRICT, WITHOUT ROWID;

-- The user's connections as listed after the poll, where they were asked for and were others than at the asking before: JSON.
ALTER TABLE evidence ADD COLUMN clients TEXT;
