-- What polls changed of alerts that went on, without their rows being written anew; see store/moves.rs.
CREATE TABLE move (
    source INTEGER NOT NULL REFERENCES source (id),
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    moves  BLOB    NOT NULL,
    PRIMARY KEY (source, seq)
) STRICT, WITHOUT ROWID;

-- The last poll of its source when the row was written: moves up to that one are in it.
ALTER TABLE alert ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;

-- The answers that breaches rest on, packed by poll and kept as long as events; rows of `evidence` are those of older
-- releases and those that list connections.
CREATE TABLE basis (
    source  INTEGER NOT NULL REFERENCES source (id),
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    answers BLOB    NOT NULL,
    PRIMARY KEY (source, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX basis_at ON basis (at);
