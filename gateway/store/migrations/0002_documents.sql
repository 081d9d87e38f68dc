-- 0002: the documents behind a unit, and the desk where results are entered by hand. Frozen, as all migrations.
-- Rows are only ever added: a correction is a new row that supersedes an older one, a void one says why it falls away.

-- The octets of a paper that was attached (a scanned order, a carrier's confirmation), once however often it is named.
CREATE TABLE attachment (
    sha256      TEXT PRIMARY KEY,
    octets      BLOB NOT NULL,
    recorded_at TEXT NOT NULL
);

-- kind: order, training, warfarin ...; body: canonical JSON (keys sorted, no blanks), with sha256 its digest in UTF-8.
-- result_id: the result that it speaks of, also in the body. source: cli, or the file and line that it was imported
-- from. voids: the superseded row falls away and nothing takes its place; the body then holds the reason alone.
CREATE TABLE document (
    id              INTEGER PRIMARY KEY,
    patient_id      TEXT NOT NULL REFERENCES patient (id),
    kind            TEXT NOT NULL,
    body            TEXT NOT NULL,
    sha256          TEXT NOT NULL,
    result_id       INTEGER REFERENCES result (id),
    attachment      TEXT REFERENCES attachment (sha256),
    attachment_name TEXT NOT NULL DEFAULT '',
    source          TEXT NOT NULL,
    recorded_at     TEXT NOT NULL,
    recorded_by     TEXT NOT NULL CHECK (trim(recorded_by) <> ''),
    supersedes      INTEGER UNIQUE REFERENCES document (id),
    voids           INTEGER NOT NULL DEFAULT 0 CHECK (voids IN (0, 1) AND (voids = 0 OR supersedes IS NOT NULL))
);
CREATE INDEX document_patient ON document (patient_id, kind, sha256);
CREATE INDEX document_result ON document (result_id) WHERE result_id IS NOT NULL;

CREATE TRIGGER document_stays BEFORE UPDATE ON document
BEGIN SELECT RAISE(ABORT, 'a document is never changed: add one that supersedes it'); END;
CREATE TRIGGER document_is_kept BEFORE DELETE ON document
BEGIN SELECT RAISE(ABORT, 'a document is never deleted'); END;
CREATE TRIGGER attachment_stays BEFORE UPDATE ON attachment
BEGIN SELECT RAISE(ABORT, 'an attachment is never changed'); END;
CREATE TRIGGER attachment_is_kept BEFORE DELETE ON attachment
BEGIN SELECT RAISE(ABORT, 'an attachment is never deleted'); END;

-- The desk's own journal, under which readings that were entered by hand stand in the store. A new epoch has a new
-- journal: after a restore no number comes again for another reading.
CREATE TABLE desk (
    epoch       TEXT PRIMARY KEY REFERENCES epoch (id),
    journal     TEXT NOT NULL UNIQUE,
    last_number INTEGER NOT NULL
);
